"""Any service that speaks OpenAI's Chat Completions, by its base URL (which ends with `/v1` for most)."""

import base64
import struct
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from instance_agent.chat.answers import ChatAnswer, Usage
from instance_agent.chat.errors import UnsupportedFeatureError
from instance_agent.chat.messages import ChatRequest
from instance_agent.providers.body_edit import forwarded
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
from instance_agent.providers.model_lists import list_call, read_page
from instance_agent.providers.numbers import known_usage, token_count
from instance_agent.providers.openai.answer import OpenAIStreamReader, read_answer
from instance_agent.providers.openai.errors import error_in_answer, read_error
from instance_agent.providers.openai.request import build_body
from instance_agent.providers.stream import EventStreamForwarder
from instance_agent.providers.upstream import Upstream
from instance_agent.providers.wire import decode

_ENCODER: Final = msgspec.json.Encoder()
_FORWARDED: Final[dict[Operation, str]] = {
    "chat": "/chat/completions",
    "embeddings": "/embeddings",
    "responses": "/responses",
}


class _Embedding(Struct):
    embedding: list[float] | str
    index: int | None = None


class _EmbeddingUsage(Struct):
    prompt_tokens: Any = None


class _Embeddings(Struct):
    data: list[_Embedding] | None = None
    model: str | None = None
    usage: _EmbeddingUsage | None = None
    error: Any = None


class _Model(Struct):
    id: str
    name: str | None = None
    context_length: Any = None
    max_model_len: Any = None
    max_context_length: Any = None


class _Models(Struct):
    data: list[_Model] | None = None
    error: Any = None


_EMBEDDINGS: Final = msgspec.json.Decoder(_Embeddings)
_MODELS: Final = msgspec.json.Decoder(_Models)


class OpenAIDialect:
    """The dialect `openai`."""

    name: str = "openai"
    client_protocol: str | None = "openai"

    def chat(self, upstream: Upstream, request: ChatRequest, model: str) -> HttpCall:
        """Translate a request."""
        body, losses = build_body(upstream, request, model)
        return self._post(upstream, "/chat/completions", _ENCODER.encode(body), losses)

    def read_answer(self, upstream: Upstream, body: bytes) -> ChatAnswer:
        """Read the body of a 200 answer."""
        return read_answer(upstream, body)

    def stream_reader(self, upstream: Upstream) -> StreamReader:
        """Return a reader for one streamed answer."""
        return OpenAIStreamReader(upstream)

    def forward(
        self, upstream: Upstream, body: bytes, model: str, headers: Mapping[str, str], operation: Operation = "chat"
    ) -> HttpCall:
        """Forward a client's bytes with the model replaced, and usage asked for in streams of chats."""
        path = _FORWARDED.get(operation)
        if path is None:
            raise UnsupportedFeatureError(operation, self.name)
        content, losses = forwarded(body, model, ask_for_usage=operation == "chat")
        return self._post(upstream, path, content, losses)

    def stream_forwarder(self, upstream: Upstream, *, include_usage: bool) -> StreamForwarder:
        """Return a forwarder; usage is stripped unless the client asked for it: a chunk of its own, and null in others."""
        return EventStreamForwarder(OpenAIStreamReader(upstream), strip_usage=not include_usage)

    def read_error(
        self, upstream: Upstream, status: int, headers: Mapping[str, str], body: bytes, now: float
    ) -> ProviderError:
        """Class an answer whose status is not 200."""
        return read_error(upstream, status, headers, body, now)

    def embed(self, upstream: Upstream, request: EmbeddingRequest, model: str) -> HttpCall:
        """Translate a request for embeddings."""
        body: dict[str, Any] = {"model": model, "input": list(request.inputs), "encoding_format": "float"}
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        if request.user is not None:
            body["user"] = request.user
        return self._post(upstream, "/embeddings", _ENCODER.encode(body))

    def read_embeddings(self, upstream: Upstream, body: bytes) -> EmbeddingAnswer:
        """Read a 200 answer of `embed`."""
        try:
            wire = decode(_EMBEDDINGS, body)
            if wire.error:
                raise error_in_answer(upstream, wire.error)
            data = _in_order(wire.data or [])
            vectors = tuple(_vector(each.embedding) for each in data)
        except (ValueError, struct.error):
            raise unreadable(upstream, "a body that is not a list of embeddings") from None
        if not vectors:
            raise unreadable(upstream, "an answer without embeddings")
        tokens = token_count(wire.usage.prompt_tokens) if wire.usage else None
        return EmbeddingAnswer(vectors=vectors, model=wire.model or "", usage=known_usage(Usage(input_tokens=tokens)))

    def list_models(self, upstream: Upstream, page: str | None = None) -> HttpCall:
        """Return the call that lists the models; there is one page."""
        return list_call(upstream, _headers(upstream))

    def read_models(self, upstream: Upstream, body: bytes) -> ModelPage:
        """Read a 200 answer of `list_models`."""
        return read_page(upstream, body, _MODELS, error_in_answer, _entries)

    def count_tokens(self, upstream: Upstream, request: ChatRequest, model: str) -> HttpCall:
        """Raise: this protocol does not count tokens."""
        raise UnsupportedFeatureError("a request to count tokens", "openai")

    def read_token_count(self, upstream: Upstream, body: bytes) -> int:
        """Raise: this protocol does not count tokens."""
        raise UnsupportedFeatureError("a request to count tokens", "openai")

    def _post(self, upstream: Upstream, path: str, body: bytes, losses: tuple[str, ...] = ()) -> HttpCall:
        return HttpCall(method="POST", url=upstream.url(path), headers=_headers(upstream), body=body, losses=losses)


def _entries(wire: _Models) -> list[ModelEntry]:
    return [
        ModelEntry(
            id=each.id,
            name=each.name,
            context_window=token_count(each.context_length)
            or token_count(each.max_model_len)
            or token_count(each.max_context_length),
        )
        for each in wire.data or ()
    ]


def _headers(upstream: Upstream) -> dict[str, str]:
    headers = {"content-type": "application/json", **upstream.headers}
    if upstream.api_key:
        if upstream.key_header is None:
            headers["authorization"] = f"Bearer {upstream.api_key.reveal()}"
        else:
            headers[upstream.key_header] = upstream.api_key.reveal()
    return headers


def _in_order(data: list[_Embedding]) -> list[_Embedding]:
    """Return embeddings by their index, as they are where none has one; raise ValueError for other places than 0 to n-1."""
    places = [each.index for each in data]
    if places == list(range(len(data))) or not any(place is not None for place in places):
        return data
    found = {each.index: each for each in data}
    if found.keys() != set(range(len(data))):
        raise ValueError("places that are not those of the inputs")
    return [found[place] for place in range(len(data))]


def _vector(embedding: list[float] | str) -> tuple[float, ...]:
    """Return a vector; some services send base64 of 32-bit floats whatever was asked for."""
    if isinstance(embedding, str):
        raw = base64.b64decode(embedding, validate=True)
        return struct.unpack(f"<{len(raw) // 4}f", raw)
    return tuple(embedding)
