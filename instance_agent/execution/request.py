"""A request as execution sees it: the client's bytes and what was read of them, translated only when a target needs it."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from instance_agent.chat.answers import StreamFailed
from instance_agent.chat.errors import ChatError
from instance_agent.chat.json_body import decode
from instance_agent.chat.messages import ChatRequest
from instance_agent.chat.protocol import ClientProtocol, RequestHead
from instance_agent.execution.cost import estimated_input_tokens
from instance_agent.execution.validators import Wanted
from instance_agent.providers.body_edit import replace_fields
from instance_agent.providers.dialect import EmbeddingRequest
from instance_agent.providers.errors import ProviderError, Retry
from instance_agent.providers.openai.responses import write_stream_error

_NO_HEADERS: Final[Mapping[str, str]] = {}
_NOTHING_WANTED: Final = Wanted()
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Format(Struct):
    schema: Any = None


class _Text(Struct):
    format: _Format | None = None


class _ResponsesForm(Struct):
    text: _Text | None = None


_RESPONSES_FORM: Final = msgspec.json.Decoder(_ResponsesForm)
#: Two names of one parameter.
_TWINS: Final = {"max_completion_tokens": "max_tokens"}
#: Parameters that are the client's or the plan's alone.
_FIXED: Final = frozenset({"model", "messages", "system", "input", "stream", "stream_options", "n"})


#: Fields, and parts of contents, by which a request names nothing that a provider may lack or forbid: text and numbers.
_PLAIN_FIELDS: Final = frozenset(
    {
        "dimensions", "encoding_format", "frequency_penalty", "input", "max_completion_tokens", "max_output_tokens",
        "max_tokens", "messages", "metadata", "model", "n", "output_config", "output_format",
        "parallel_tool_calls", "presence_penalty", "reasoning_effort", "response_format", "seed", "stop",
        "stop_sequences", "stream", "stream_options", "system",
        "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p", "user",
    }
)  # fmt: skip
_PLAIN_PARTS: Final = frozenset({"text", "tool_use", "tool_result"})
_PLAIN_TOOLS: Final = frozenset({None, "function", "custom"})


class _Typed(Struct):
    type: str | None = None


class _Message(Struct):
    content: str | list[_Typed] | None = None


class _PlainForm(Struct):
    messages: list[_Message] = []
    tools: list[_Typed] = []
    input: str | list[str] = ""


_PLAIN_FORM: Final = msgspec.json.Decoder(_PlainForm)


class ExecutionRequest:
    """One request of a client.

    Attributes:
        request_id: UUIDv7, in every record of its attempts.
        protocol: the client's; answers and streams are written in it.
        head: as routing has read it.
        body: the client's bytes.
        headers: the client's, names in lower case; dialects forward a few of them.
        tenant: key or workspace, for the cache.
        context: given to the sink of attempts with each record.
        cache_seconds: how long its answer is kept; 0: not at all; None: as the cache is set.
        cut_off_is_failure: whether an answer that ended at a limit of tokens is a failure of the model.
        is_compared: whether it is one of an experiment: also that it ends without any attempt is recorded then.
        payer: reserves for its attempts, see `Payer`; None: nothing limits what they cost.
        operation: ``responses`` and ``embeddings`` are forwarded to targets that speak them.
    """

    __slots__ = (
        "_chat",
        "_input_tokens",
        "body",
        "cache_seconds",
        "context",
        "cut_off_is_failure",
        "head",
        "headers",
        "is_compared",
        "operation",
        "payer",
        "protocol",
        "request_id",
        "tenant",
    )

    def __init__(
        self,
        *,
        request_id: str,
        protocol: ClientProtocol,
        head: RequestHead,
        body: bytes,
        headers: Mapping[str, str] = _NO_HEADERS,
        tenant: str = "",
        context: Any = None,
        operation: Literal["chat", "embeddings", "responses"] = "chat",
        chat: ChatRequest | None = None,
        cache_seconds: float | None = None,
        cut_off_is_failure: bool = False,
        is_compared: bool = False,
    ) -> None:
        self.request_id = request_id
        self.protocol = protocol
        self.head = head
        self.body = body
        self.headers = headers
        self.tenant = tenant
        self.context = context
        self.operation = operation
        self.cache_seconds = cache_seconds
        self.cut_off_is_failure = cut_off_is_failure
        self.is_compared = is_compared
        self.payer: Any = None
        self._chat = chat
        self._input_tokens: int | None = None

    def chat(self) -> ChatRequest:
        """Return the request in the neutral form, translated once; raise ChatError where that is not possible."""
        if self._chat is None:
            self._chat = self.protocol.read_request(self.body)
        return self._chat

    def with_defaults(self, parameters: Mapping[str, Any]) -> "ExecutionRequest":
        """Return the request with default parameters of a model, where the client left them out."""
        fields = decode(self.body, _FIELDS)
        given = {_TWINS.get(name, name) for name in fields} | _FIXED
        missing = {name: value for name, value in parameters.items() if _TWINS.get(name, name) not in given}
        if not missing:
            return self
        other = ExecutionRequest(
            request_id=self.request_id,
            protocol=self.protocol,
            head=self.head,
            body=replace_fields(self.body, missing),
            headers=self.headers,
            tenant=self.tenant,
            context=self.context,
            operation=self.operation,
            cache_seconds=self.cache_seconds,
            cut_off_is_failure=self.cut_off_is_failure,
        )
        other.payer = self.payer
        return other

    def use_body(self, body: bytes, head: RequestHead) -> None:
        """Use another body, and the head that was read of it."""
        self.body, self.head = body, head
        self._chat = None

    def wanted(self) -> Wanted:
        """Return the form that the answer must have."""
        form = self.head.response_format
        if form is None:
            return _NOTHING_WANTED
        if form == "json_object":
            return Wanted(form)
        if self.operation == "responses":
            text = decode(self.body, _RESPONSES_FORM).text
            schema = text.format.schema if text is not None and text.format is not None else None
            return Wanted(form, schema if isinstance(schema, dict) else None)
        # Not by `chat`, which refuses requests that a provider has taken, and has answered.
        return Wanted(form, self.protocol.read_schema(self.body))

    def blamed_for(self, error: ProviderError) -> str | None:
        """Return the tenant whose request may be at fault for an error of class setup; None where it cannot be.

        A text that is refused with 404 or 405 has the wrong address or model; a 403 may be a filter's, about the text.
        """
        if error.retry is not Retry.SETUP or error.error_kind != "caller":
            return None
        return None if error.upstream_status in (404, 405) and self._is_plain() else self.tenant

    def _is_plain(self) -> bool:
        """Whether the request is text alone, and names no file, earlier answer or tool of a provider."""
        if self.head.images or self.head.inputs:
            return False
        try:
            if not decode(self.body, _FIELDS).keys() <= _PLAIN_FIELDS:
                return False
            form = decode(self.body, _PLAIN_FORM)
        except ChatError:
            return False
        parts = (part for each in form.messages if isinstance(each.content, list) for part in each.content)
        return all(tool.type in _PLAIN_TOOLS for tool in form.tools) and all(
            each.type in _PLAIN_PARTS for each in parts
        )

    def stream_error(self, error: ChatError, sequence_number: int = 0) -> bytes:
        """Return the event that ends the client's stream with an error; `sequence_number`: for Responses."""
        if self.operation == "responses":
            return write_stream_error(error, sequence_number)
        return self.protocol.stream_writer(include_usage=self.head.include_usage).write(StreamFailed(error))

    def input_tokens(self) -> int:
        """Return an upper estimate of the prompt's tokens."""
        if self._input_tokens is None:
            self._input_tokens = estimated_input_tokens(self.head)
        return self._input_tokens


class EmbeddingsRequest(ExecutionRequest):
    """A request for embeddings.

    Attributes:
        embedding: None for an input of tokens, which mean nothing to another model: it is only forwarded.
        encoding: of the vectors in a translated answer.
    """

    __slots__ = ("embedding", "encoding")

    def __init__(
        self, embedding: EmbeddingRequest | None, encoding: Literal["float", "base64"] = "float", **fields: Any
    ) -> None:
        super().__init__(operation="embeddings", **fields)
        self.embedding = embedding
        self.encoding: Literal["float", "base64"] = encoding
