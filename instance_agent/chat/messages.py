"""A chat request in its neutral form: the parts of messages, tools, limits and formats.

Every client protocol is read into these types, and every dialect of a provider is written from them. They hold only what at
least two protocols share; a field of a client without a place here is named in `ChatRequest.losses`, or refused.
"""

from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

JsonObject: TypeAlias = dict[str, Any]


class TextPart(Struct, frozen=True, tag="text"):
    """Text of a message, or of the result of a tool."""

    text: str


class ImagePart(Struct, frozen=True, tag="image"):
    """An image: either `url`, or `data` (base64, without line breaks) with its `media_type`, such as ``image/png``.

    `detail` is OpenAI's resolution hint (``low``, ``high``, ``auto``).
    """

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None


class ToolCallPart(Struct, frozen=True, tag="tool_call"):
    """A call of a tool by the model.

    `arguments` is JSON text as the model wrote it: it may not parse. `signature` is the opaque proof that Gemini wants back
    with the call.
    """

    id: str
    name: str
    arguments: str
    signature: str | None = None


class ToolResultPart(Struct, frozen=True, tag="tool_result"):
    """The result of a tool for the call `call_id`; `name` is the tool's, where the protocol gives it."""

    call_id: str
    content: tuple[TextPart | ImagePart, ...]
    is_error: bool = False
    name: str | None = None


class ThinkingPart(Struct, frozen=True, tag="thinking"):
    """Thoughts of the model. `signature` proves to the provider that they are its own; `redacted` replaces the text."""

    text: str
    signature: str | None = None
    redacted: str | None = None


Part: TypeAlias = TextPart | ImagePart | ToolCallPart | ToolResultPart | ThinkingPart


class Message(Struct, frozen=True):
    """One message. Results of tools stand in messages of the role ``user``; ``system`` only in the midst of a chat."""

    role: Literal["user", "assistant", "system"]
    parts: tuple[Part, ...]


class Tool(Struct, frozen=True):
    """A function that the model may call; `parameters` is a JSON schema, None for a function without arguments."""

    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class ToolChoice(Struct, frozen=True):
    """Whether the model must call a tool; `name` is set for the mode ``named`` alone."""

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str | None = None


#: Asks in the system prompt for any JSON object, where a protocol has no field for that.
JSON_ONLY: Final = "Answer with one JSON object and nothing else: no words before or after it, no code fence."


class ResponseFormat(Struct, frozen=True):
    """The form of the answer: any JSON object, or JSON of the schema `schema`."""

    kind: Literal["json_object", "json_schema"]
    schema: JsonObject | None = None
    name: str = "answer"
    description: str | None = None
    strict: bool | None = None


class Reasoning(Struct, frozen=True):
    """How long the model may think: by effort, by tokens, or not at all (effort ``none``).

    Both None: the model decides.
    """

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    budget_tokens: int | None = None


class ChatRequest(Struct, frozen=True, kw_only=True):
    """A chat request.

    Attributes:
        model: as the client wrote it; a dialect is given the provider's name of the model apart from it.
        system: the system prompt, in pieces; pieces are joined by an empty line where a protocol takes one text.
        max_output_tokens: limit of the answer, thoughts included; None: the provider's.
        temperature: 0 to 2 in OpenAI's scale.
        stop: texts that end the answer.
        user: the client's id of its user, for the provider's abuse detection.
        include_usage: the client asked for usage at the end of a stream.
        losses: fields of the client's request that have no place here, such as ``logit_bias``, in the order found.
    """

    model: str
    messages: tuple[Message, ...]
    system: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    user: str | None = None
    stream: bool = False
    include_usage: bool = False
    losses: tuple[str, ...] = ()
