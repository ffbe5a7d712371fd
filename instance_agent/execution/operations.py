"""The operations that are executed whole: how each is translated for a target, and how its answer is read."""

import base64
import math
import struct
import time
import traceback
from typing import Final, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from centralcloud.runtime.logs import get_logger
from instance_agent.chat.answers import ChatAnswer, FinishReason, Usage
from instance_agent.chat.errors import UnsupportedFeatureError
from instance_agent.execution.request import EmbeddingsRequest, ExecutionRequest
from instance_agent.execution.targets import CallTarget
from instance_agent.execution.validators import AnswerChecks, Verdict, judge
from instance_agent.providers.classification import unreadable
from instance_agent.providers.dialect import EmbeddingAnswer, HttpCall
from instance_agent.providers.errors import ProviderError
from instance_agent.providers.openai.responses import read_response

log = get_logger(__name__)
_ENCODER: Final = msgspec.json.Encoder()


class ReadAnswer(Struct, frozen=True, kw_only=True):
    """An answer that was read.

    Attributes:
        body: in the client's protocol.
        answer: in the neutral form; None for an operation that is only forwarded.
        verdict: on the answer; nothing for an operation without checks.
        model: the model that answered, in the provider's words; empty when it gave none.
        fingerprint: of the service's build, where the provider gives one.
    """

    body: bytes
    answer: ChatAnswer | None = None
    usage: Usage | None = None
    finish: FinishReason | None = None
    verdict: Verdict = Verdict()
    model: str = ""
    fingerprint: str | None = None


class Operation(Protocol):
    """One operation of one request."""

    def translate(self, target: CallTarget) -> HttpCall:
        """Return the call; raise UnsupportedFeatureError where the target cannot take it."""

    def read(self, target: CallTarget, body: bytes) -> ReadAnswer:
        """Read a 200 answer; raise ProviderError for an error in it."""


def operation_of(request: ExecutionRequest, checks: AnswerChecks) -> Operation:
    """Return the operation of a request."""
    if isinstance(request, EmbeddingsRequest):
        return EmbeddingsOperation(request)
    return ResponsesOperation(request, checks) if request.operation == "responses" else ChatOperation(request, checks)


def read_paid(operation: Operation, target: CallTarget, body: bytes) -> ReadAnswer:
    """Read a 200 answer; raise ProviderError for one that cannot be read, and for nothing else: it may be billed."""
    try:
        return operation.read(target, body)
    except ProviderError:
        raise
    except Exception as error:
        raise unread(target, error) from error


def unread(target: CallTarget, error: Exception) -> ProviderError:
    """Return the error for an answer that this program, or an installed dialect, fails to read or to write."""
    # Without its text, which may have a part of the answer.
    where = traceback.format_tb(error.__traceback__)
    log.error("answer_not_read", target=target.key, error=type(error).__name__, traceback=where)
    return unreadable(target.upstream, f"an answer that cannot be read or written ({type(error).__name__})")


def judged(answer: ChatAnswer, request: ExecutionRequest, checks: AnswerChecks) -> Verdict:
    """Return the verdict on an answer. An error of a check is logged, and finds nothing: the answer is paid for."""
    try:
        if request.cut_off_is_failure:
            checks = replace(checks, cut_off=True)
        return judge(answer, request.wanted(), checks)
    except Exception as error:  # noqa: BLE001 - no check is worth an answer
        log.error("answer_not_checked", error=type(error).__name__, traceback=traceback.format_tb(error.__traceback__))
        return Verdict()


def forwards(request: ExecutionRequest, target: CallTarget) -> bool:
    """Whether the client's bytes are forwarded to this target: both speak the same protocol."""
    return target.dialect.client_protocol == request.protocol.name


def translate_chat(request: ExecutionRequest, target: CallTarget) -> HttpCall:
    """Return the call of a chat: forwarded where possible, with the model's default parameters."""
    if target.model.parameters:
        request = request.with_defaults(target.model.parameters)
    if forwards(request, target):
        return target.dialect.forward(target.upstream, request.body, target.sent_as, request.headers)
    return target.dialect.chat(target.upstream, request.chat(), target.sent_as)


class ChatOperation:
    """A chat with a whole answer."""

    def __init__(self, request: ExecutionRequest, checks: AnswerChecks) -> None:
        self._request = request
        self._checks = checks

    def translate(self, target: CallTarget) -> HttpCall:
        """Return the call."""
        return translate_chat(self._request, target)

    def read(self, target: CallTarget, body: bytes) -> ReadAnswer:
        """Read the answer, and check it."""
        answer = target.dialect.read_answer(target.upstream, body)
        request = self._request
        written = body if forwards(request, target) else request.protocol.write_answer(answer, created=int(time.time()))
        return ReadAnswer(
            body=written,
            answer=answer,
            usage=answer.usage,
            finish=answer.finish,
            verdict=judged(answer, request, self._checks),
            model=answer.model,
            fingerprint=answer.fingerprint,
        )


class ResponsesOperation:
    """A whole response: its bytes are forwarded to targets that speak the protocol, and read along."""

    def __init__(self, request: ExecutionRequest, checks: AnswerChecks) -> None:
        self._request = request
        self._checks = checks

    def translate(self, target: CallTarget) -> HttpCall:
        """Return the call."""
        return pass_through(self._request, target)

    def read(self, target: CallTarget, body: bytes) -> ReadAnswer:
        """Read the answer, and check it; one that still runs in the background has nothing to check."""
        answer = read_response(target.upstream, body)
        done = answer.raw_finish not in ("queued", "in_progress")
        return ReadAnswer(
            body=body,
            usage=answer.usage,
            finish=answer.finish,
            verdict=judged(answer, self._request, self._checks) if done else Verdict(),
            model=answer.model,
        )


def pass_through(request: ExecutionRequest, target: CallTarget) -> HttpCall:
    """Return the call of an operation that only dialects of the client's protocol have."""
    if not forwards(request, target):
        raise UnsupportedFeatureError(f"the operation {request.operation}", f"the dialect {target.dialect.name}")
    return target.dialect.forward(target.upstream, request.body, target.sent_as, request.headers, request.operation)


class EmbeddingsOperation:
    """Embeddings, in OpenAI's form."""

    def __init__(self, request: EmbeddingsRequest) -> None:
        self._request = request

    def translate(self, target: CallTarget) -> HttpCall:
        """Return the call."""
        request = self._request
        if forwards(request, target):
            return pass_through(request, target)
        if request.embedding is None:
            raise UnsupportedFeatureError("an input of tokens", "a request that is translated to another protocol")
        return target.dialect.embed(target.upstream, request.embedding, target.sent_as)

    def read(self, target: CallTarget, body: bytes) -> ReadAnswer:
        """Read the vectors."""
        answer = target.dialect.read_embeddings(target.upstream, body)
        _check_vectors(answer, self._request, target)
        known = answer.usage or Usage()
        # Embeddings have no output: 0 tokens are known, and not absent.
        usage = Usage(input_tokens=known.input_tokens, output_tokens=0, cost_nano_usd=known.cost_nano_usd)
        try:
            written = body if forwards(self._request, target) else _write_embeddings(answer, self._request.encoding)
        except (OverflowError, struct.error):
            raise unreadable(target.upstream, "a vector with a number that no embedding has") from None
        return ReadAnswer(body=written, usage=usage, model=answer.model)


def _check_vectors(answer: EmbeddingAnswer, request: EmbeddingsRequest, target: CallTarget) -> None:
    """Raise ProviderError unless each input has a vector, of the same length as the others, of finite numbers."""
    vectors, inputs = answer.vectors, request.head.messages
    if len(vectors) != inputs:
        raise unreadable(target.upstream, f"{len(vectors)} embeddings of {inputs} inputs")
    lengths = {len(vector) for vector in vectors}
    if len(lengths) != 1 or 0 in lengths:
        raise unreadable(target.upstream, f"vectors of {' and '.join(map(str, sorted(lengths)[:3]))} numbers")
    if not all(math.isfinite(sum(vector)) for vector in vectors):
        raise unreadable(target.upstream, "a vector with a number that is not finite")


def _write_embeddings(answer: EmbeddingAnswer, encoding: str) -> bytes:
    vectors: list[object] = list(answer.vectors)
    if encoding == "base64":
        vectors = [base64.b64encode(struct.pack(f"<{len(each)}f", *each)).decode() for each in answer.vectors]
    body: dict[str, object] = {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)],
        "model": answer.model,
    }
    if answer.usage is not None and answer.usage.input_tokens is not None:
        body["usage"] = {"prompt_tokens": answer.usage.input_tokens, "total_tokens": answer.usage.input_tokens}
    return _ENCODER.encode(body)
