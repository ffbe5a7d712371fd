"""Gemini's generateContent, by a base URL that ends with `/v1beta`."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from instance_agent.chat.answers import ChatAnswer
from instance_agent.chat.errors import UnsupportedFeatureError
from instance_agent.chat.messages import ChatRequest
from instance_agent.providers.classification import unreadable
from instance_agent.providers.dialect import (
    EmbeddingAnswer,
    EmbeddingRequest,
    HttpCall,
    ModelEntry,
    ModelPage,
    Operation,
    StreamForwarder,
    StreamReader,
)
from instance_agent.providers.errors import ProviderError
from instance_agent.providers.gemini.answer import GeminiStreamReader, error_in_answer, read_answer, read_error
from instance_agent.providers.gemini.request import build_body
from instance_agent.providers.model_lists import list_call, read_page
from instance_agent.providers.numbers import token_count
from instance_agent.providers.stream import EventStreamForwarder
from instance_agent.providers.upstream import Upstream

_ENCODER: Final = msgspec.json.Encoder()


class _Values(Struct):
    values: list[float]


class _Embeddings(Struct):
    embeddings: list[_Values] | None = None
    error: Any = None


class _Model(Struct, rename="camel"):
    name: str
    display_name: str | None = None
    input_token_limit: Any = None
    output_token_limit: Any = None


class _Models(Struct, rename="camel"):
    models: list[_Model] | None = None
    next_page_token: str | None = None
    error: Any = None


class _Count(Struct, rename="camel"):
    total_tokens: Any = None
    error: Any = None


_EMBEDDINGS: Final = msgspec.json.Decoder(_Embeddings)
_MODELS: Final = msgspec.json.Decoder(_Models)
_COUNT: Final = msgspec.json.Decoder(_Count)


class GeminiDialect:
    """The dialect `gemini`. No client speaks it to the gateway, so nothing is forwarded."""

    name: str = "gemini"
    client_protocol: str | None = None

    def chat(self, upstream: Upstream, request: ChatRequest, model: str) -> HttpCall:
        """Translate a request."""
        body, losses = build_body(request, model)
        return _post(upstream, model, "streamGenerateContent" if request.stream else "generateContent", body, losses)

    def read_answer(self, upstream: Upstream, body: bytes) -> ChatAnswer:
        """Read the body of a 200 answer."""
        return read_answer(upstream, body)

    def stream_reader(self, upstream: Upstream) -> StreamReader:
        """Return a reader for one streamed answer."""
        return GeminiStreamReader(upstream)

    def forward(
        self, upstream: Upstream, body: bytes, model: str, headers: Mapping[str, str], operation: Operation = "chat"
    ) -> HttpCall:
        """Raise: the gateway does not serve this protocol."""
        raise UnsupportedFeatureError("bytes of a client", self.name)

    def stream_forwarder(self, upstream: Upstream, *, include_usage: bool) -> StreamForwarder:
        """Return a forwarder of its events."""
        return EventStreamForwarder(GeminiStreamReader(upstream), strip_usage=False)

    def read_error(
        self, upstream: Upstream, status: int, headers: Mapping[str, str], body: bytes, now: float
    ) -> ProviderError:
        """Class an answer whose status is not 200."""
        return read_error(upstream, status, headers, body, now)

    def embed(self, upstream: Upstream, request: EmbeddingRequest, model: str) -> HttpCall:
        """Translate a request for embeddings; the id of the user has no place and is left out."""
        one: dict[str, Any] = {"model": f"models/{_plain(model)}"}
        if request.dimensions is not None:
            one["outputDimensionality"] = request.dimensions
        requests = [{**one, "content": {"parts": [{"text": text}]}} for text in request.inputs]
        losses = ("user",) if request.user is not None else ()
        return _post(upstream, model, "batchEmbedContents", {"requests": requests}, losses)

    def read_embeddings(self, upstream: Upstream, body: bytes) -> EmbeddingAnswer:
        """Read a 200 answer of `embed`; Gemini reports no usage for it."""
        try:
            wire = _EMBEDDINGS.decode(body)
        except (ValueError, RecursionError):
            raise unreadable(upstream, "a body that is not a list of embeddings") from None
        if wire.error:
            raise error_in_answer(upstream, wire.error)
        if not wire.embeddings:
            raise unreadable(upstream, "an answer without embeddings")
        return EmbeddingAnswer(vectors=tuple(tuple(each.values) for each in wire.embeddings), model="")

    def list_models(self, upstream: Upstream, page: str | None = None) -> HttpCall:
        """Return the call that lists a page of the models."""
        return list_call(upstream, _headers(upstream), "pageSize", pageToken=page)

    def read_models(self, upstream: Upstream, body: bytes) -> ModelPage:
        """Read a 200 answer of `list_models`."""
        return read_page(upstream, body, _MODELS, error_in_answer, _entries, lambda wire: wire.next_page_token or None)

    def count_tokens(self, upstream: Upstream, request: ChatRequest, model: str) -> HttpCall:
        """Return the call that counts input tokens."""
        body, losses = build_body(request, model)
        counted = {"generateContentRequest": {"model": f"models/{_plain(model)}", **body}}
        return _post(upstream, model, "countTokens", counted, losses)

    def read_token_count(self, upstream: Upstream, body: bytes) -> int:
        """Read a 200 answer of `count_tokens`."""
        try:
            wire = _COUNT.decode(body)
        except (ValueError, RecursionError):
            raise unreadable(upstream, "a body that is not a count of tokens") from None
        if wire.error:
            raise error_in_answer(upstream, wire.error)
        count = token_count(wire.total_tokens)
        if count is None:
            raise unreadable(upstream, "an answer without totalTokens")
        return count


def _entries(wire: _Models) -> list[ModelEntry]:
    return [
        ModelEntry(
            id=_plain(each.name),
            name=each.display_name,
            context_window=token_count(each.input_token_limit),
            max_output_tokens=token_count(each.output_token_limit),
        )
        for each in wire.models or ()
    ]


def _plain(model: str) -> str:
    return model.removeprefix("models/")


def _headers(upstream: Upstream) -> dict[str, str]:
    headers = {"content-type": "application/json", **upstream.headers}
    if upstream.api_key:
        # In a header, not in the address: addresses are logged on the way.
        headers[upstream.key_header or "x-goog-api-key"] = upstream.api_key.reveal()
    return headers


def _post(
    upstream: Upstream, model: str, operation: str, body: dict[str, Any], losses: tuple[str, ...] = ()
) -> HttpCall:
    address = upstream.url(f"/models/{quote(_plain(model), safe='')}:{operation}")
    if operation == "streamGenerateContent":
        address += ("&" if "?" in address else "?") + "alt=sse"
    return HttpCall(method="POST", url=address, headers=_headers(upstream), body=_ENCODER.encode(body), losses=losses)
