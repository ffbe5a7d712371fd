"""Anthropic's Messages, by a base URL that ends with `/v1`."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from instance_agent.chat.answers import ChatAnswer
from instance_agent.chat.errors import UnsupportedFeatureError
from instance_agent.chat.messages import ChatRequest
from instance_agent.providers.anthropic.answer import AnthropicStreamReader, error_in_answer, read_answer, read_error
from instance_agent.providers.anthropic.request import build_body
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
from instance_agent.providers.numbers import token_count
from instance_agent.providers.stream import EventStreamForwarder
from instance_agent.providers.upstream import Upstream

API_VERSION: Final = "2023-06-01"
#: Headers of clients that change the meaning of the body, and travel with it.
_CLIENT_HEADERS: Final = ("anthropic-beta", "anthropic-version")
_FORWARDED: Final[dict[Operation, str]] = {"chat": "/messages", "count_tokens": "/messages/count_tokens"}
#: Fields of a request that the operation that counts tokens takes.
_COUNTED: Final = ("model", "messages", "system", "tools", "tool_choice", "thinking")
_ENCODER: Final = msgspec.json.Encoder()


class _Model(Struct):
    id: str
    display_name: str | None = None
    max_input_tokens: Any = None
    max_tokens: Any = None


class _Models(Struct):
    data: list[_Model] | None = None
    has_more: bool = False
    last_id: str | None = None
    error: Any = None


class _Count(Struct):
    input_tokens: Any = None
    error: Any = None


_MODELS: Final = msgspec.json.Decoder(_Models)
_COUNT: Final = msgspec.json.Decoder(_Count)


class AnthropicDialect:
    """The dialect `anthropic`."""

    name: str = "anthropic"
    client_protocol: str | None = "anthropic"

    def chat(self, upstream: Upstream, request: ChatRequest, model: str) -> HttpCall:
        """Translate a request."""
        body, losses = build_body(request, model)
        return _post(upstream, "/messages", _ENCODER.encode(body), losses=losses)

    def read_answer(self, upstream: Upstream, body: bytes) -> ChatAnswer:
        """Read the body of a 200 answer."""
        return read_answer(upstream, body)

    def stream_reader(self, upstream: Upstream) -> StreamReader:
        """Return a reader for one streamed answer."""
        return AnthropicStreamReader(upstream)

    def forward(
        self, upstream: Upstream, body: bytes, model: str, headers: Mapping[str, str], operation: Operation = "chat"
    ) -> HttpCall:
        """Forward a client's bytes with the model replaced, and the client's version and beta headers."""
        path = _FORWARDED.get(operation)
        if path is None:
            raise UnsupportedFeatureError(operation, self.name)
        kept = {name: headers[name] for name in _CLIENT_HEADERS if name in headers}
        content, losses = forwarded(body, model)
        return _post(upstream, path, content, kept, losses)

    def stream_forwarder(self, upstream: Upstream, *, include_usage: bool) -> StreamForwarder:
        """Return a forwarder; usage is part of this protocol, and stays."""
        return EventStreamForwarder(AnthropicStreamReader(upstream), strip_usage=False)

    def read_error(
        self, upstream: Upstream, status: int, headers: Mapping[str, str], body: bytes, now: float
    ) -> ProviderError:
        """Class an answer whose status is not 200."""
        return read_error(upstream, status, headers, body, now)

    def embed(self, upstream: Upstream, request: EmbeddingRequest, model: str) -> HttpCall:
        """Raise: this protocol has no embeddings."""
        raise UnsupportedFeatureError("a request for embeddings", self.name)

    def read_embeddings(self, upstream: Upstream, body: bytes) -> EmbeddingAnswer:
        """Raise: this protocol has no embeddings."""
        raise UnsupportedFeatureError("a request for embeddings", self.name)

    def list_models(self, upstream: Upstream, page: str | None = None) -> HttpCall:
        """Return the call that lists the models after `page`."""
        return list_call(upstream, _headers(upstream), "limit", after_id=page)

    def read_models(self, upstream: Upstream, body: bytes) -> ModelPage:
        """Read a 200 answer of `list_models`."""
        return read_page(
            upstream, body, _MODELS, error_in_answer, _entries, lambda wire: wire.last_id if wire.has_more else None
        )

    def count_tokens(self, upstream: Upstream, request: ChatRequest, model: str) -> HttpCall:
        """Return the call that counts input tokens."""
        body, losses = build_body(request, model)
        counted = {name: body[name] for name in _COUNTED if name in body}
        return _post(upstream, "/messages/count_tokens", _ENCODER.encode(counted), losses=losses)

    def read_token_count(self, upstream: Upstream, body: bytes) -> int:
        """Read a 200 answer of `count_tokens`."""
        try:
            wire = _COUNT.decode(body)
        except (ValueError, RecursionError):
            raise unreadable(upstream, "a body that is not a count of tokens") from None
        if wire.error:
            raise error_in_answer(upstream, wire.error)
        count = token_count(wire.input_tokens)
        if count is None:
            raise unreadable(upstream, "an answer without input_tokens")
        return count


def _entries(wire: _Models) -> list[ModelEntry]:
    return [
        ModelEntry(
            id=each.id,
            name=each.display_name,
            context_window=token_count(each.max_input_tokens),
            max_output_tokens=token_count(each.max_tokens),
        )
        for each in wire.data or ()
    ]


def _headers(upstream: Upstream, more: Mapping[str, str] | None = None) -> dict[str, str]:
    headers = {"content-type": "application/json", "anthropic-version": API_VERSION, **upstream.headers, **(more or {})}
    if upstream.api_key:
        headers[upstream.key_header or "x-api-key"] = upstream.api_key.reveal()
    return headers


def _post(
    upstream: Upstream,
    path: str,
    body: bytes,
    more: Mapping[str, str] | None = None,
    losses: tuple[str, ...] = (),
) -> HttpCall:
    return HttpCall(method="POST", url=upstream.url(path), headers=_headers(upstream, more), body=body, losses=losses)
