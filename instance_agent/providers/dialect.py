"""A dialect: pure translation between the neutral form of a chat and the bytes of one kind of provider.

Third parties add dialects by the entry point group ``instance_agent.dialects``: the name of the entry point is the name of
the dialect, its object an instance of `Dialect`.
"""

from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeAlias

from msgspec import Struct

from instance_agent.chat.answers import ChatAnswer, FinishReason, StreamEvent, Usage
from instance_agent.chat.messages import ChatRequest
from instance_agent.providers.errors import ProviderError
from instance_agent.providers.upstream import Upstream

Operation: TypeAlias = Literal["chat", "embeddings", "responses", "count_tokens"]
"""An operation whose bytes are forwarded."""


class HttpCall(Struct, frozen=True, kw_only=True):
    """One HTTP request to a provider.

    Attributes:
        headers: may hold the key; never logged.
        losses: fields of the request that this dialect has no place for, those of the `ChatRequest` included.
    """

    method: Literal["GET", "POST"]
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    losses: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"HttpCall({self.method} {self.url.partition('?')[0]}, {len(self.body or b'')} bytes)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:  # the inherited one shows headers
        return [("method", self.method), ("url", self.url.partition("?")[0])]


class StreamReader(Protocol):
    """Reads the bytes of one streamed answer. Any split of the bytes gives the same events.

    After `StreamFailed` or `Completed` nothing follows, and more bytes are ignored.
    """

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Return the events that these bytes complete."""

    def close(self) -> list[StreamEvent]:
        """Return the last events, at the end of the bytes; `StreamFailed` when the proper end is missing."""


class StreamForwarder(Protocol):
    """Forwards the bytes of a streamed answer to a client of the same protocol, and reads along.

    Attributes:
        begun: a token, a call or the finish has been seen: from here on an error is in the midst of the answer. The caller
            keeps the bytes back until then, so that another target can still be tried.
        output_characters: characters of text, thoughts and arguments so far, for an estimate when usage is missing.
        finish: None until the model stopped.
        usage: None unless reported.
        error: set by a failure; its event is not forwarded, the caller writes its own.
        completed: the proper end was seen.
        events: of the last `feed` or `close`, for validators.
    """

    output_characters: int
    finish: FinishReason | None
    usage: Usage | None
    error: ProviderError | None
    completed: bool
    events: list[StreamEvent]

    @property
    def begun(self) -> bool:
        """Whether a token, a call or the finish has been seen."""

    def feed(self, data: bytes) -> bytes:
        """Return the bytes for the client: whole events only."""

    def close(self) -> bytes:
        """Return the last bytes, at the end of the upstream's; sets `error` when the proper end is missing."""


class EmbeddingRequest(Struct, frozen=True, kw_only=True):
    """A request for embeddings of texts; `dimensions` None: the model's own."""

    inputs: tuple[str, ...]
    dimensions: int | None = None
    user: str | None = None


class EmbeddingAnswer(Struct, frozen=True, kw_only=True):
    """One vector for each input, in their order."""

    vectors: tuple[tuple[float, ...], ...]
    model: str
    usage: Usage | None = None


class ModelEntry(Struct, frozen=True, kw_only=True):
    """A model as its provider lists it; what it does not say is None."""

    id: str
    name: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None


class ModelPage(Struct, frozen=True):
    """A page of a list of models; `next_page` is the argument for the next one, None on the last."""

    models: tuple[ModelEntry, ...]
    next_page: str | None = None


class Dialect(Protocol):
    """One kind of provider; stateless. `model` is always the provider's own name of the model.

    Attributes:
        client_protocol: the client protocol whose bytes `forward` takes, None: none.
    """

    name: str
    client_protocol: str | None

    def chat(self, upstream: Upstream, request: ChatRequest, model: str) -> HttpCall:
        """Translate a request; raise UnsupportedFeatureError for what has no equivalent and cannot be left out."""

    def read_answer(self, upstream: Upstream, body: bytes) -> ChatAnswer:
        """Read the body of a 200 answer; raise ProviderError for an error in it, or for a body that is not an answer."""

    def stream_reader(self, upstream: Upstream) -> StreamReader:
        """Return a reader for one streamed answer."""

    def forward(
        self, upstream: Upstream, body: bytes, model: str, headers: Mapping[str, str], operation: Operation = "chat"
    ) -> HttpCall:
        """Forward a client's bytes with only the model replaced.

        `headers` are the client's, names in lower case. Raise UnsupportedFeatureError for an operation that this dialect
        does not have.
        """

    def stream_forwarder(self, upstream: Upstream, *, include_usage: bool) -> StreamForwarder:
        """Return a forwarder; `include_usage`: the client asked for usage, so that it is not stripped."""

    def read_error(
        self, upstream: Upstream, status: int, headers: Mapping[str, str], body: bytes, now: float
    ) -> ProviderError:
        """Class an answer whose status is not 200. `headers` have names in lower case; `now`: seconds since 1970."""

    def embed(self, upstream: Upstream, request: EmbeddingRequest, model: str) -> HttpCall:
        """Translate a request for embeddings; raise UnsupportedFeatureError without an equivalent."""

    def read_embeddings(self, upstream: Upstream, body: bytes) -> EmbeddingAnswer:
        """Read a 200 answer of `embed`."""

    def list_models(self, upstream: Upstream, page: str | None = None) -> HttpCall:
        """Return the call, free of charge, that lists the models of the provider."""

    def read_models(self, upstream: Upstream, body: bytes) -> ModelPage:
        """Read a 200 answer of `list_models`."""

    def count_tokens(self, upstream: Upstream, request: ChatRequest, model: str) -> HttpCall:
        """Return the call, free of charge, that counts input tokens; raise UnsupportedFeatureError without one."""

    def read_token_count(self, upstream: Upstream, body: bytes) -> int:
        """Read a 200 answer of `count_tokens`."""
