"""A neutral request as a body of Anthropic's Messages."""

import re
from typing import Any, Final

import msgspec

from instance_agent.chat.errors import InvalidRequestError
from instance_agent.chat.messages import (
    JSON_ONLY,
    ChatRequest,
    ImagePart,
    Message,
    Part,
    Reasoning,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
)

#: The protocol demands a limit; every model accepts this one.
DEFAULT_MAX_TOKENS: Final = 4096
_MIN_BUDGET: Final = 1024
#: The models that take thoughts by a budget of tokens; later ones take an effort instead, and refuse a budget.
_BUDGET_MODELS: Final = re.compile(
    r"claude-(?:2|3|instant|haiku-[34]|(?:opus|sonnet)-(?:3|4(?:-[0-5])?(?!\d|-[6-9](?!\d))))"
)
_BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 32_000, "max": 32_000}
_EFFORTS: Final = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def build_body(request: ChatRequest, model: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the body and what it leaves out.

    Left out: seed and penalties; `top_p` beside a temperature; thoughts without the proof that they are the model's own. A
    temperature above 1 becomes 1. A system message in the midst of a chat moves to the system prompt. JSON without a schema
    is asked for in the system prompt.
    """
    losses = set(request.losses)
    system, messages = _messages(request, losses)
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_output_tokens or DEFAULT_MAX_TOKENS,
        "messages": messages,
    }
    _add_format(request, body, system, losses)
    if system:
        body["system"] = "\n\n".join(system)
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        choice = _tool_choice(request)
        if choice is not None:
            body["tool_choice"] = choice
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if request.user is not None:
        body["metadata"] = {"user_id": request.user}
    _add_thinking(request, model, body, losses)
    _add_sampling(request, body, losses)
    if request.stream:
        body["stream"] = True
    return body, tuple(sorted(losses))


def _messages(request: ChatRequest, losses: set[str]) -> tuple[list[str], list[dict[str, Any]]]:
    system = list(request.system)
    messages: list[dict[str, Any]] = []
    for message in request.messages:
        if message.role == "system":
            system += [part.text for part in message.parts if isinstance(part, TextPart)]
            losses.add("the place of a system message")
            continue
        content = [block for part in _in_order(message) for block in _blocks(part, losses)]
        if not content:
            continue
        if messages and messages[-1]["role"] == message.role:
            messages[-1]["content"] += content
        else:
            messages.append({"role": message.role, "content": content})
    if not messages and system:
        # The protocol demands a message.
        losses.add("the place of a system message")
        return [], [{"role": "user", "content": [{"type": "text", "text": text} for text in system]}]
    return system, messages


def _in_order(message: Message) -> list[Part]:
    """Return the parts, results of tools first: the protocol demands it."""
    return sorted(message.parts, key=lambda part: not isinstance(part, ToolResultPart))


def _blocks(part: Part, losses: set[str]) -> list[dict[str, Any]]:
    match part:
        case TextPart():
            return [{"type": "text", "text": part.text}] if part.text.strip() else []
        case ImagePart():
            return [_image(part)]
        case ToolCallPart():
            return [{"type": "tool_use", "id": part.id, "name": part.name, "input": _input(part)}]
        case ToolResultPart():
            return [_result(part)]
        case ThinkingPart(redacted=str() as data):
            return [{"type": "redacted_thinking", "data": data}]
        case ThinkingPart(signature=str() as signature) if signature:
            return [{"type": "thinking", "thinking": part.text, "signature": signature}]
        case ThinkingPart():
            losses.add("thinking without a signature")
    return []


def _image(part: ImagePart) -> dict[str, Any]:
    if part.url is not None:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    return {"type": "image", "source": {"type": "base64", "media_type": part.media_type, "data": part.data}}


def _input(part: ToolCallPart) -> msgspec.Raw:
    text = part.arguments.strip() or "{}"
    try:
        _OBJECT.decode(text)
    except (ValueError, RecursionError):
        raise InvalidRequestError(
            f"found arguments of the call {part.id} that are not a JSON object, expected one", param="messages"
        ) from None
    return msgspec.Raw(text.encode())


def _result(part: ToolResultPart) -> dict[str, Any]:
    content = [
        _image(each) if isinstance(each, ImagePart) else {"type": "text", "text": each.text} for each in part.content
    ]
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": part.call_id}
    if content:
        block["content"] = content
    if part.is_error:
        block["is_error"] = True
    return block


def _tool(tool: Tool) -> dict[str, Any]:
    written: dict[str, Any] = {
        "name": tool.name,
        "input_schema": tool.parameters or {"type": "object", "properties": {}},
    }
    if tool.description is not None:
        written["description"] = tool.description
    if tool.strict is not None:
        written["strict"] = tool.strict
    return written


def _tool_choice(request: ChatRequest) -> dict[str, Any] | None:
    choice, written = request.tool_choice, None
    if choice is not None:
        kinds = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}
        written = {"type": kinds[choice.mode]}
        if choice.name is not None:
            written["name"] = choice.name
    if request.parallel_tool_calls is False and (choice is None or choice.mode != "none"):
        written = {**(written or {"type": "auto"}), "disable_parallel_tool_use": True}  # type: ignore[dict-item]
    return written


def _add_format(request: ChatRequest, body: dict[str, Any], system: list[str], losses: set[str]) -> None:
    wanted = request.response_format
    if wanted is None:
        return
    if wanted.kind == "json_schema" and wanted.schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": wanted.schema}}
        return
    system.append(JSON_ONLY)
    losses.add("response_format json_object (asked for in the system prompt)")


def _add_thinking(request: ChatRequest, model: str, body: dict[str, Any], losses: set[str]) -> None:
    reasoning = request.reasoning
    if reasoning is None:
        return
    if reasoning.effort == "none":
        body["thinking"] = {"type": "disabled"}
        return
    if request.tool_choice is not None and request.tool_choice.mode in ("required", "named"):
        losses.add("thinking beside a forced tool")
        return
    if _continues_without_thoughts(request):
        # The API refuses thoughts after a call whose own thoughts did not come back.
        losses.add("thinking after a call of a tool without its thoughts")
        return
    if _BUDGET_MODELS.search(model):
        budget = _budget(reasoning)
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}
        body["max_tokens"] = max(body["max_tokens"], budget + _MIN_BUDGET)
        return
    if reasoning.budget_tokens is not None:
        losses.add("thinking.budget_tokens")
    body["thinking"] = {"type": "adaptive"}
    if reasoning.effort is not None:
        body["output_config"] = {**body.get("output_config", {}), "effort": _EFFORTS[reasoning.effort]}


def _budget(reasoning: Reasoning) -> int:
    if reasoning.budget_tokens is not None:
        return max(_MIN_BUDGET, reasoning.budget_tokens)
    return _BUDGETS[reasoning.effort or "medium"]


def _continues_without_thoughts(request: ChatRequest) -> bool:
    """Return whether the last turn of the model called a tool, and its signed thoughts are missing."""
    turns = [message for message in request.messages if message.role == "assistant"]
    if not turns or not request.messages or request.messages[-1].role == "assistant":
        return False
    last = turns[-1].parts
    called = any(isinstance(part, ToolCallPart) for part in last)
    return called and not any(isinstance(part, ThinkingPart) and (part.signature or part.redacted) for part in last)


def _add_sampling(request: ChatRequest, body: dict[str, Any], losses: set[str]) -> None:
    for name in ("seed", "frequency_penalty", "presence_penalty"):
        if getattr(request, name) is not None:
            losses.add(name)
    thinks = body.get("thinking", {}).get("type") in ("enabled", "adaptive")
    if request.temperature is not None:
        if thinks:
            losses.add("temperature beside thinking")
        else:
            body["temperature"] = min(request.temperature, 1.0)
            if request.temperature > 1:
                losses.add("temperature above 1")
    if request.top_p is not None:
        if thinks or "temperature" in body:
            losses.add("top_p beside temperature or thinking")
        else:
            body["top_p"] = request.top_p
    if request.top_k is not None:
        if thinks:
            losses.add("top_k beside thinking")
        else:
            body["top_k"] = request.top_k
