"""Requests of Anthropic's Messages: their head for routing, and the whole of them in the neutral form."""

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
from instance_agent.chat.protocol import RequestHead, output_limit, unread_bytes

_TARGET: Final = "a chat that is translated to another protocol"
#: Tools that Anthropic runs itself, and the folders that they work in.
_REFUSED: Final = ("container", "mcp_servers")
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


#: The arguments of a call that has none.
_EMPTY: Final = msgspec.Raw(b"{}")
_NOTHING: Final = msgspec.Raw()


class _HeadResult(Struct):
    type: str
    text: str | None = None
    source: msgspec.Raw = _NOTHING


class _HeadBlock(Struct):
    type: str
    text: str | None = None
    content: str | list[_HeadResult] | None = None
    source: msgspec.Raw = _NOTHING


class _HeadMessage(Struct):
    role: str
    content: str | list[_HeadBlock]


class _Metadata(Struct):
    user_id: str | None = None


class _Type(Struct):
    type: str


class _HeadOutput(Struct):
    format: _Type | None = None


class _Head(Struct):
    model: str
    messages: list[_HeadMessage]
    max_tokens: int | None = None
    system: str | list[_HeadResult] | None = None
    stream: bool | None = None
    tools: list[msgspec.Raw] | None = None
    output_config: _HeadOutput | None = None
    output_format: _Type | None = None
    metadata: dict[str, Any] | None = None


class _Source(Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None


class _ResultBlock(Struct):
    type: str
    text: str | None = None
    source: _Source | None = None


class _Block(Struct):
    type: str
    text: str | None = None
    source: _Source | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _EMPTY
    tool_use_id: str | None = None
    content: str | list[_ResultBlock] | None = None
    is_error: bool | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    cache_control: Any = None
    citations: Any = None


class _Message(Struct):
    role: str
    content: str | list[_Block]


class _Tool(Struct):
    name: str
    type: str | None = None
    description: str | None = None
    input_schema: JsonObject | None = None
    strict: bool | None = None
    cache_control: Any = None


class _ToolChoice(Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Thinking(Struct):
    type: str
    budget_tokens: int | None = None


class _Format(Struct):
    type: str
    schema: JsonObject | None = None


class _SchemaAlone(Struct):
    schema: JsonObject | None = None


class _OutputAlone(Struct):
    format: _SchemaAlone | None = None


class _BodyOfOutput(Struct):
    output_config: _OutputAlone | None = None
    output_format: _SchemaAlone | None = None


class _OutputConfig(Struct):
    effort: Effort | None = None
    format: _Format | None = None


class _Request(Struct):
    model: str
    messages: list[_Message]
    max_tokens: int | None = None
    system: str | list[_Block] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[_Tool] | None = None
    tool_choice: _ToolChoice | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None
    metadata: _Metadata | None = None


_HEAD: Final = msgspec.json.Decoder(_Head)
_REQUEST: Final = msgspec.json.Decoder(_Request)
_OUTPUT: Final = msgspec.json.Decoder(_BodyOfOutput)
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_head(body: bytes) -> RequestHead:
    """Read what routing needs; raise InvalidRequestError for another body than a request of Messages."""
    head = decode(body, _HEAD)
    text, images, media, documents = "", 0, 0, False
    system = head.system or ""
    characters = len(system) if isinstance(system, str) else sum(len(block.text or "") for block in system)
    for message in head.messages:
        content = message.content
        if isinstance(content, list):
            blocks: list[_HeadBlock | _HeadResult] = list(content)
            for block in content:
                if isinstance(block.content, list):  # the result of a tool
                    blocks += block.content
            kinds = [block.type for block in blocks]
            if pictures := kinds.count("image"):
                images += pictures
                media += sum([len(block.source) for block in blocks if block.type == "image"])
            documents = documents or "document" in kinds
            characters += sum(_result_length(block.content) for block in content)
            content = "\n".join([block.text for block in content if block.text])
        characters += len(content)
        if message.role == "user" and content:
            text = content
    # `output_format` is the older spelling, which Anthropic still takes.
    asked = (head.output_config.format if head.output_config else None) or head.output_format
    metadata = {key: value for key, value in (head.metadata or {}).items() if isinstance(value, str)}
    messages, tools = len(head.messages), len(head.tools or ())
    return RequestHead(
        model=head.model,
        text=text,
        characters=characters,
        messages=messages,
        unread=unread_bytes(body, characters, messages, tools=tools, media=media),
        images=images,
        inputs=("documents",) if documents else (),
        tools=tools,
        stream=bool(head.stream),
        include_usage=True,
        max_output_tokens=output_limit(head.max_tokens),
        response_format="json_schema" if asked else None,
        user=metadata.get("user_id"),
        metadata=metadata,
    )


def _result_length(content: str | list[_HeadResult] | None) -> int:
    if isinstance(content, list):
        return sum(len(block.text or "") for block in content)
    return len(content or "")


def read_schema(body: bytes) -> JsonObject | None:
    """Return the schema of the answer, whatever the rest of the body is like; None where none can be read."""
    try:
        asked = decode(body, _OUTPUT)
    except InvalidRequestError:
        return None
    form = (asked.output_config.format if asked.output_config else None) or asked.output_format
    return form.schema if form else None


def read_request(body: bytes) -> ChatRequest:
    """Read the whole request in its neutral form. `max_tokens` may be missing, as in a request to count tokens."""
    wire = decode(body, _REQUEST)
    given = {name for name, raw in decode(body, _FIELDS).items() if bytes(raw) not in (b"null", b"[]")}
    for name in _REFUSED:
        if name in given:
            raise UnsupportedFeatureError(name, _TARGET)
    losses = [name for name in given if name not in _Request.__struct_fields__]
    blocks = [block for message in wire.messages if isinstance(message.content, list) for block in message.content]
    blocks += wire.system if isinstance(wire.system, list) else []
    if any(block.cache_control for block in blocks) or any(tool.cache_control for tool in wire.tools or ()):
        losses.append("cache_control")
    if any(block.citations for block in blocks):
        losses.append("citations")
    choice = wire.tool_choice
    return ChatRequest(
        model=wire.model,
        system=_system(wire.system),
        messages=tuple(_message(message, f"messages[{index}]") for index, message in enumerate(wire.messages)),
        tools=tuple(_tool(each) for each in wire.tools or ()),
        tool_choice=_tool_choice(choice),
        parallel_tool_calls=False if choice and choice.disable_parallel_tool_use else None,
        response_format=_response_format(wire),
        reasoning=_reasoning(wire, losses),
        max_output_tokens=wire.max_tokens,
        temperature=wire.temperature,
        top_p=wire.top_p,
        top_k=wire.top_k,
        stop=tuple(wire.stop_sequences or ()),
        user=wire.metadata.user_id if wire.metadata else None,
        stream=bool(wire.stream),
        include_usage=True,
        losses=tuple(sorted(losses)),
    )


def _system(system: str | list[_Block] | None) -> tuple[str, ...]:
    if system is None or isinstance(system, str):
        return (system,) if system else ()
    return tuple(_required(block.text, f"system[{index}].text") for index, block in enumerate(system))


def _message(message: _Message, where: str) -> Message:
    if message.role not in ("user", "assistant", "system"):
        raise InvalidRequestError(
            f"found the role {message.role!r} at {where}, expected user or assistant", param=where
        )
    role: Literal["user", "assistant", "system"] = message.role  # type: ignore[assignment]
    if isinstance(message.content, str):
        return Message(role, (TextPart(message.content),) if message.content else ())
    return Message(role, tuple(_part(block, f"{where}.content[{i}]") for i, block in enumerate(message.content)))


def _part(block: _Block, where: str) -> Part:
    match block.type:
        case "text":
            return TextPart(_required(block.text, f"{where}.text"))
        case "image":
            return _image(block.source, where)
        case "tool_use":
            name = _required(block.name, f"{where}.name")
            return ToolCallPart(_required(block.id, f"{where}.id"), name, _arguments(block.input, where))
        case "tool_result":
            call_id = _required(block.tool_use_id, f"{where}.tool_use_id")
            return ToolResultPart(call_id, _result(block.content, where), bool(block.is_error))
        case "thinking":
            return ThinkingPart(block.thinking or "", block.signature)
        case "redacted_thinking":
            return ThinkingPart("", redacted=_required(block.data, f"{where}.data"))
        case "document" if block.source and block.source.type == "text":
            return TextPart(_required(block.source.data, f"{where}.source.data"))
    raise UnsupportedFeatureError(f"content of the type {block.type} at {where}", _TARGET)


def _arguments(raw: msgspec.Raw, where: str) -> str:
    try:
        return bytes(raw).decode()
    except UnicodeDecodeError:
        raise InvalidRequestError(
            f"found bytes that are not UTF-8 at {where}.input, expected UTF-8", param=where
        ) from None


def _result(content: str | list[_ResultBlock] | None, where: str) -> tuple[TextPart | ImagePart, ...]:
    if content is None or isinstance(content, str):
        return (TextPart(content),) if content else ()
    parts: list[TextPart | ImagePart] = []
    for index, block in enumerate(content):
        inside = f"{where}.content[{index}]"
        if block.type == "text":
            parts.append(TextPart(_required(block.text, f"{inside}.text")))
        elif block.type == "image":
            parts.append(_image(block.source, inside))
        else:
            raise UnsupportedFeatureError(f"content of the type {block.type} at {inside}", _TARGET)
    return tuple(parts)


def _image(source: _Source | None, where: str) -> ImagePart:
    if source is not None and source.type == "base64":
        return ImagePart(
            data=_required(source.data, f"{where}.source.data"),
            media_type=_required(source.media_type, f"{where}.source.media_type"),
        )
    if source is not None and source.type == "url":
        return ImagePart(url=_required(source.url, f"{where}.source.url"))
    raise UnsupportedFeatureError(f"an image from the source {source.type if source else None} at {where}", _TARGET)


def _required(value: str | None, where: str) -> str:
    if value is None:
        raise InvalidRequestError(f"found no {where}, expected a value", param=where)
    return value


def _tool(tool: _Tool) -> Tool:
    if tool.type not in (None, "custom"):
        raise UnsupportedFeatureError(f"a tool of the type {tool.type}", _TARGET)
    return Tool(tool.name, tool.description, tool.input_schema, tool.strict)


def _tool_choice(choice: _ToolChoice | None) -> ToolChoice | None:
    match choice:
        case None:
            return None
        case _ToolChoice(type="auto"):
            return ToolChoice("auto")
        case _ToolChoice(type="any"):
            return ToolChoice("required")
        case _ToolChoice(type="none"):
            return ToolChoice("none")
        case _ToolChoice(type="tool"):
            return ToolChoice("named", _required(choice.name, "tool_choice.name"))
    raise InvalidRequestError(
        f"found {choice.type!r} at tool_choice.type, expected auto, any, tool or none", param="tool_choice"
    )


def _response_format(wire: _Request) -> ResponseFormat | None:
    wanted = wire.output_config.format if wire.output_config else None
    wanted = wanted or wire.output_format
    if wanted is None:
        return None
    if wanted.type != "json_schema":
        raise UnsupportedFeatureError(f"an output format of the type {wanted.type}", _TARGET)
    return ResponseFormat("json_schema", wanted.schema, strict=True)


def _reasoning(wire: _Request, losses: list[str]) -> Reasoning | None:
    effort = wire.output_config.effort if wire.output_config else None
    match wire.thinking:
        case None:
            return Reasoning(effort) if effort else None
        case _Thinking(type="disabled"):
            return Reasoning("none")
        case _Thinking(type="enabled", budget_tokens=budget):
            return Reasoning(effort, budget)
        case _Thinking(type="adaptive"):
            return Reasoning(effort)
    losses.append(f"thinking of the type {wire.thinking.type}")
    return Reasoning(effort)
