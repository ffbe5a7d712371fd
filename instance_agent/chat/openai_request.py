"""Requests of OpenAI's Chat Completions: their head for routing, and the whole of them in the neutral form."""

import re
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from instance_agent.chat.errors import InvalidRequestError, UnsupportedFeatureError
from instance_agent.chat.json_body import decode
from instance_agent.chat.messages import (
    ChatRequest,
    ImagePart,
    JsonObject,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)
from instance_agent.chat.protocol import RequestHead, choices_of, output_limit, unread_bytes

_TARGET: Final = "a chat that is translated to another protocol"
_DATA_URL: Final = re.compile(r"data:(?P<type>[^;,]+)(?:;[^,]*)?;base64,(?P<data>.*)", re.DOTALL)
#: Dropping one of these would change what the client gets back, in form or in meaning.
_REFUSED: Final = (
    "audio",
    "functions",
    "function_call",
    "logprobs",
    "moderation",
    "top_logprobs",
    "web_search_options",
)


#: Types of parts whose content a model either accepts or refuses; those of vLLM and OpenRouter among them.
_INPUTS: Final = {"input_audio": "audio", "audio_url": "audio", "file": "documents", "video_url": "video"}
_NOTHING: Final = msgspec.Raw()


class _HeadPart(Struct):
    type: str = "text"
    text: str | None = None
    image_url: msgspec.Raw = _NOTHING


class _HeadMessage(Struct):
    role: str
    content: str | list[_HeadPart] | None = None


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Type(Struct):
    type: str


class _Head(Struct):
    model: str
    messages: list[_HeadMessage]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[msgspec.Raw] | None = None
    response_format: _Type | None = None
    n: Any = None
    user: str | None = None
    metadata: dict[str, Any] | None = None


class _ImageUrl(Struct):
    url: str
    detail: str | None = None


class _Part(Struct):
    type: str
    text: str | None = None
    image_url: _ImageUrl | None = None
    refusal: str | None = None


class _CalledFunction(Struct):
    name: str
    arguments: str = ""


class _ToolCall(Struct):
    id: str
    function: _CalledFunction | None = None
    type: str = "function"
    extra_content: Any = None


class _Message(Struct):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    function_call: Any = None
    audio: Any = None


class _Function(Struct):
    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class _Tool(Struct):
    type: str
    function: _Function | None = None


class _Schema(Struct):
    name: str = "answer"
    schema: JsonObject | None = None
    strict: bool | None = None
    description: str | None = None


class _ResponseFormat(Struct):
    type: str
    json_schema: _Schema | None = None


class _SchemaAlone(Struct):
    schema: JsonObject | None = None


class _FormatAlone(Struct):
    json_schema: _SchemaAlone | None = None


class _BodyOfFormat(Struct):
    response_format: _FormatAlone | None = None


class _Named(Struct):
    name: str


class _ToolChoice(Struct):
    type: str
    function: _Named | None = None


class _OpenRouterReasoning(Struct):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    max_tokens: int | None = None


class _Request(Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    modalities: list[str] | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: _ResponseFormat | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    reasoning: _OpenRouterReasoning | None = None
    user: str | None = None


_HEAD: Final = msgspec.json.Decoder(_Head)
_REQUEST: Final = msgspec.json.Decoder(_Request)
_FORMAT: Final = msgspec.json.Decoder(_BodyOfFormat)
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MODES: Final[tuple[Literal["auto", "none", "required"], ...]] = ("auto", "none", "required")
_OFF: Final = (b"null", b"false")


def read_head(body: bytes) -> RequestHead:
    """Read what routing needs; raise InvalidRequestError for another body than a chat request."""
    head = decode(body, _HEAD)
    text, characters, images, media = "", 0, 0, 0
    kinds: set[str] = set()
    for message in head.messages:
        content = message.content
        if isinstance(content, list):
            found = [part.type for part in content]
            if pictures := found.count("image_url"):
                images += pictures
                media += sum([len(part.image_url) for part in content])
            kinds.update(found)
            content = "\n".join([part.text for part in content if part.text])
        if content:
            characters += len(content)
            if message.role == "user":
                text = content
    kind = head.response_format.type if head.response_format else None
    messages, tools = len(head.messages), len(head.tools or ())
    return RequestHead(
        model=head.model,
        text=text,
        characters=characters,
        messages=messages,
        unread=unread_bytes(body, characters, messages, tools=tools, media=media),
        images=images,
        inputs=tuple(sorted({_INPUTS[kind] for kind in kinds if kind in _INPUTS})),
        tools=tools,
        stream=bool(head.stream),
        include_usage=bool(head.stream_options and head.stream_options.include_usage),
        max_output_tokens=output_limit(head.max_tokens, head.max_completion_tokens),
        choices=1 if head.n is None else choices_of(head.n),
        response_format="json_object" if kind == "json_object" else "json_schema" if kind == "json_schema" else None,
        user=head.user,
        metadata={key: value for key, value in (head.metadata or {}).items() if isinstance(value, str)},
    )


def read_schema(body: bytes) -> JsonObject | None:
    """Return the schema of the answer, whatever the rest of the body is like; None where none can be read."""
    try:
        asked = decode(body, _FORMAT).response_format
    except InvalidRequestError:
        return None
    return asked.json_schema.schema if asked and asked.json_schema else None


def read_request(body: bytes) -> ChatRequest:
    """Read the whole request in its neutral form."""
    wire = decode(body, _REQUEST)
    given = {name for name, raw in decode(body, _FIELDS).items() if bytes(raw) not in _OFF}
    for name in _REFUSED:
        if name in given:
            raise UnsupportedFeatureError(name, _TARGET)
    if wire.n not in (None, 1):
        raise UnsupportedFeatureError(f"n = {wire.n}", _TARGET)
    if wire.modalities not in (None, ["text"]):
        raise UnsupportedFeatureError(f"modalities {', '.join(wire.modalities)}", _TARGET)
    losses = [name for name in given if name not in _Request.__struct_fields__]
    if any(message.name for message in wire.messages if message.role != "tool"):
        losses.append("messages[].name")
    system, messages = _messages(wire.messages)
    return ChatRequest(
        model=wire.model,
        system=system,
        messages=messages,
        tools=tuple(_tool(each) for each in wire.tools or ()),
        tool_choice=_tool_choice(wire.tool_choice),
        parallel_tool_calls=wire.parallel_tool_calls,
        response_format=_response_format(wire.response_format),
        reasoning=_reasoning(wire),
        max_output_tokens=wire.max_tokens if wire.max_completion_tokens is None else wire.max_completion_tokens,
        temperature=wire.temperature,
        top_p=wire.top_p,
        top_k=wire.top_k,
        frequency_penalty=wire.frequency_penalty,
        presence_penalty=wire.presence_penalty,
        seed=wire.seed,
        stop=(wire.stop,) if isinstance(wire.stop, str) else tuple(wire.stop or ()),
        user=wire.user,
        stream=bool(wire.stream),
        include_usage=bool(wire.stream_options and wire.stream_options.include_usage),
        losses=tuple(sorted(losses)),
    )


def _messages(wire: list[_Message]) -> tuple[tuple[str, ...], tuple[Message, ...]]:
    system: list[str] = []
    messages: list[Message] = []
    for position, message in enumerate(wire):
        where = f"messages[{position}]"
        if message.role in ("system", "developer"):
            text = _text(message, where)
            if messages:
                messages.append(Message("system", (TextPart(text),)))
            else:
                system.append(text)
        elif message.role == "user":
            messages.append(Message("user", tuple(_content(message, where))))
        elif message.role == "assistant":
            messages.append(Message("assistant", tuple(_assistant(message, where))))
        elif message.role == "tool":
            result = _tool_result(message, where)
            before = messages[-1] if messages else None
            if before and before.role == "user" and isinstance(before.parts[-1], ToolResultPart):
                messages[-1] = Message("user", (*before.parts, result))
            else:
                messages.append(Message("user", (result,)))
        else:
            raise InvalidRequestError(
                f"found the role {message.role!r} at {where}, expected system, developer, user, assistant or tool",
                param=where,
            )
    return tuple(system), tuple(messages)


def _assistant(message: _Message, where: str) -> list[Part]:
    if message.function_call is not None or message.audio is not None:
        raise UnsupportedFeatureError(f"{where}.{'audio' if message.audio is not None else 'function_call'}", _TARGET)
    parts: list[Part] = []
    thoughts = message.reasoning_content or (message.reasoning if isinstance(message.reasoning, str) else None)
    if thoughts:
        parts.append(ThinkingPart(thoughts))
    parts += _content(message, where)
    if message.refusal:
        parts.append(TextPart(message.refusal))
    for call in message.tool_calls or ():
        if call.function is None:
            raise UnsupportedFeatureError(f"a call of the type {call.type}", _TARGET)
        parts.append(ToolCallPart(call.id, call.function.name, call.function.arguments, _signature(call.extra_content)))
    return parts


def _signature(extra: Any) -> str | None:
    """Return Gemini's proof of a call, where Google's own OpenAI endpoint puts it."""
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else None


def _tool_result(message: _Message, where: str) -> ToolResultPart:
    if message.tool_call_id is None:
        raise InvalidRequestError(f"found no {where}.tool_call_id, expected the id of the call", param=where)
    content = tuple(part for part in _content(message, where) if isinstance(part, TextPart | ImagePart))
    return ToolResultPart(message.tool_call_id, content, name=message.name)


def _text(message: _Message, where: str) -> str:
    parts = _content(message, where)
    if not all(isinstance(part, TextPart) for part in parts):
        raise UnsupportedFeatureError(f"an image in the {message.role} message {where}", _TARGET)
    return "\n".join(part.text for part in parts if isinstance(part, TextPart))


def _content(message: _Message, where: str) -> list[TextPart | ImagePart]:
    if message.content is None:
        return []
    if isinstance(message.content, str):
        return [TextPart(message.content)] if message.content else []
    return [_part(part, f"{where}.content[{index}]") for index, part in enumerate(message.content)]


def _part(part: _Part, where: str) -> TextPart | ImagePart:
    if part.type == "text" and part.text is not None:
        return TextPart(part.text)
    if part.type == "refusal" and part.refusal is not None:
        return TextPart(part.refusal)
    if part.type == "image_url" and part.image_url is not None:
        return read_image_url(part.image_url.url, part.image_url.detail)
    if part.type in ("text", "refusal", "image_url"):
        raise InvalidRequestError(f"found no {where}.{part.type}, expected a value", param=where)
    raise UnsupportedFeatureError(f"content of the type {part.type} at {where}", _TARGET)


def read_image_url(url: str, detail: str | None = None) -> ImagePart:
    """Return the image of an address, or of a data URL in base64."""
    match = _DATA_URL.fullmatch(url)
    if match:
        return ImagePart(data=match["data"], media_type=match["type"], detail=detail)
    return ImagePart(url=url, detail=detail)


def _tool(tool: _Tool) -> Tool:
    if tool.type != "function" or tool.function is None:
        raise UnsupportedFeatureError(f"a tool of the type {tool.type}", _TARGET)
    function = tool.function
    return Tool(function.name, function.description, function.parameters, function.strict)


def _tool_choice(choice: str | _ToolChoice | None) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, str):
        for mode in _MODES:
            if mode == choice:
                return ToolChoice(mode)
        raise InvalidRequestError(
            f"found {choice!r} at tool_choice, expected auto, none or required", param="tool_choice"
        )
    if choice.type == "function" and choice.function is not None:
        return ToolChoice("named", choice.function.name)
    raise UnsupportedFeatureError(f"tool_choice of the type {choice.type}", _TARGET)


def _response_format(wire: _ResponseFormat | None) -> ResponseFormat | None:
    if wire is None or wire.type == "text":
        return None
    if wire.type == "json_object":
        return ResponseFormat("json_object")
    if wire.type == "json_schema" and wire.json_schema is not None:
        schema = wire.json_schema
        return ResponseFormat("json_schema", schema.schema, schema.name, schema.description, schema.strict)
    raise UnsupportedFeatureError(f"response_format of the type {wire.type}", _TARGET)


def _reasoning(wire: _Request) -> Reasoning | None:
    if wire.reasoning is not None:
        return Reasoning(wire.reasoning.effort, wire.reasoning.max_tokens)
    return Reasoning(wire.reasoning_effort) if wire.reasoning_effort is not None else None
