"""A neutral request as a body of OpenAI's Chat Completions."""

from typing import Any, Final

from instance_agent.chat.messages import (
    ChatRequest,
    ImagePart,
    Message,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)
from instance_agent.providers.upstream import Upstream

_SAME_NAME: Final = (
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "user",
    "parallel_tool_calls",
)


def build_body(upstream: Upstream, request: ChatRequest, model: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the body and what it leaves out.

    Left out: `top_k`, which OpenAI refuses; thoughts of earlier turns and a budget of thoughts in tokens, for which there is
    no field; the mark that a tool failed. Images in results of tools follow in a message of the user.
    """
    losses = set(request.losses)
    body: dict[str, Any] = {"model": model, "messages": _messages(request, losses)}
    for name in _SAME_NAME:
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.top_k is not None:
        losses.add("top_k")
    if request.max_output_tokens is not None:
        body[upstream.max_tokens_field] = request.max_output_tokens
    if request.stop:
        body["stop"] = list(request.stop)
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = _tool_choice(request.tool_choice)
    else:
        # OpenAI refuses it where there is no tool.
        body.pop("parallel_tool_calls", None)
    if request.response_format is not None:
        body["response_format"] = _response_format(request)
    if request.reasoning is not None:
        if request.reasoning.effort is not None:
            body["reasoning_effort"] = request.reasoning.effort
        elif request.reasoning.budget_tokens is not None:
            losses.add("thinking.budget_tokens")
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body, tuple(sorted(losses))


def _messages(request: ChatRequest, losses: set[str]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if request.system:
        messages.append({"role": "system", "content": "\n\n".join(request.system)})
    for message in request.messages:
        if message.role == "assistant":
            messages.append(_assistant(message, losses))
        else:
            messages += _others(message, losses)
    return messages


def _assistant(message: Message, losses: set[str]) -> dict[str, Any]:
    calls = []
    for part in message.parts:
        if isinstance(part, ToolCallPart):
            call: dict[str, Any] = {"id": part.id, "type": "function"}
            call["function"] = {"name": part.name, "arguments": part.arguments}
            calls.append(call)
        elif isinstance(part, ThinkingPart):
            losses.add("thinking of earlier turns")
    text = "".join(part.text for part in message.parts if isinstance(part, TextPart))
    written: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
    if calls:
        written["tool_calls"] = calls
    return written


def _others(message: Message, losses: set[str]) -> list[dict[str, Any]]:
    results, content = [], []
    for part in message.parts:
        if isinstance(part, ToolResultPart):
            text = "\n".join(each.text for each in part.content if isinstance(each, TextPart))
            results.append({"role": "tool", "tool_call_id": part.call_id, "content": text})
            content += [_image(each) for each in part.content if isinstance(each, ImagePart)]
            if part.is_error:
                losses.add("tool_result.is_error")
        elif isinstance(part, TextPart):
            content.append({"type": "text", "text": part.text})
        elif isinstance(part, ImagePart):
            content.append(_image(part))
    if not content and results:
        return results
    if len(content) == 1 and content[0]["type"] == "text":
        return [*results, {"role": message.role, "content": content[0]["text"]}]
    return [*results, {"role": message.role, "content": content or ""}]


def _image(part: ImagePart) -> dict[str, Any]:
    url = part.url if part.url is not None else f"data:{part.media_type};base64,{part.data}"
    image = {"url": url} if part.detail is None else {"url": url, "detail": part.detail}
    return {"type": "image_url", "image_url": image}


def _tool(tool: Tool) -> dict[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    return {"type": "function", "function": {name: value for name, value in function.items() if value is not None}}


def _tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.mode == "named":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def _response_format(request: ChatRequest) -> dict[str, Any]:
    wanted = request.response_format
    if wanted is None or wanted.kind == "json_object":
        return {"type": "json_object"}
    schema = {
        "name": wanted.name,
        "description": wanted.description,
        "schema": wanted.schema,
        "strict": wanted.strict,
    }
    return {"type": "json_schema", "json_schema": {key: value for key, value in schema.items() if value is not None}}
