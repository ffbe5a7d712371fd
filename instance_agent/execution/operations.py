"""The operations that are executed whole: how each is translated for a target, and how its answer is read."""

import base64
import math
import struct
import time
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from instance_agent.chat.answers import ChatAnswer, FinishReason, Usage
from instance_agent.chat.errors import UnsupportedFeatureError
from instance_agent.execution.request import EmbeddingsRequest, ExecutionRequest
from instance_agent.execution.targets import CallTarget
from instance_agent.execution.validators import AnswerChecks, Defect, find_defect
from instance_agent.providers.classification import unreadable
from instance_agent.providers.dialect import EmbeddingAnswer, HttpCall

_ENCODER: Final = msgspec.json.Encoder()


class ReadAnswer(Struct, frozen=True, kw_only=True):
    """An answer that was read.

    Attributes:
        body: in the client's protocol.
        answer: in the neutral form; None for an operation that is only forwarded.
        refused: the model or a filter declined.
    """

    body: bytes
    answer: ChatAnswer | None = None
    usage: Usage | None = None
    finish: FinishReason | None = None
    refused: bool = False
    defect: tuple[Defect, str] | None = None


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
    return PassedThrough(request) if request.operation == "responses" else ChatOperation(request, checks)


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
            refused=bool(answer.refusal) or answer.finish == "content_filter",
            defect=find_defect(answer, request.wanted(), self._checks),
        )


class PassedThrough:
    """An operation whose bytes are forwarded to targets that speak it, and not read."""

    def __init__(self, request: ExecutionRequest) -> None:
        self._request = request

    def translate(self, target: CallTarget) -> HttpCall:
        """Return the call."""
        return pass_through(self._request, target)

    def read(self, target: CallTarget, body: bytes) -> ReadAnswer:  # noqa: ARG002
        """Return the bytes."""
        return ReadAnswer(body=body)


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
        return ReadAnswer(body=written, usage=usage)


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
