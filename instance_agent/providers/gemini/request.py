"""A neutral request as a body of Gemini's generateContent."""

import re
from typing import Any, Final

import msgspec

from instance_agent.chat.errors import InvalidRequestError, UnsupportedFeatureError
from instance_agent.chat.messages import (
    ChatRequest,
    ImagePart,
    Message,
    Part,
    Reasoning,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)

_MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
_BUDGETS: Final = {
    "none": 0,
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
_LEVELS: Final = {"none": "minimal", "minimal": "minimal", "low": "low", "medium": "medium"}
#: The models that take thoughts by a budget of tokens, and do not demand proofs of thoughts with calls.
_BUDGET_MODELS: Final = re.compile(r"gemini-[12]\b")
#: Documented by Google for calls that another model made, or whose proof was lost: the check is skipped.
_NO_SIGNATURE: Final = "skip_thought_signature_validator"
_OWN_FILES: Final = ("https://generativelanguage.googleapis.com/", "gs://")
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def build_body(request: ChatRequest, model: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the body and what it leaves out.

    Left out: the id of the user; the wish for one call at a time; thoughts of earlier turns without a proof. A system
    message in the midst of a chat moves to the system prompt.
    """
    losses = set(request.losses)
    system, contents = _contents(request, model, losses)
    body: dict[str, Any] = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": [{"text": text} for text in system]}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_tool(tool) for tool in request.tools]}]
        if request.tool_choice is not None:
            body["toolConfig"] = {"functionCallingConfig": _calling(request.tool_choice)}
    config = _config(request, model)
    if config:
        body["generationConfig"] = config
    if request.user is not None:
        losses.add("user")
    if request.parallel_tool_calls is False:
        losses.add("parallel_tool_calls")
    return body, tuple(sorted(losses))


def _contents(request: ChatRequest, model: str, losses: set[str]) -> tuple[list[str], list[dict[str, Any]]]:
    system = list(request.system)
    names = {
        part.id: part.name for message in request.messages for part in message.parts if isinstance(part, ToolCallPart)
    }
    contents: list[dict[str, Any]] = []
    for message in request.messages:
        if message.role == "system":
            system += [part.text for part in message.parts if isinstance(part, TextPart)]
            losses.add("the place of a system message")
            continue
        role = "model" if message.role == "assistant" else "user"
        parts = _parts(message, names, model, losses)
        if not parts:
            continue
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    if not contents and system:
        # The protocol demands a message.
        losses.add("the place of a system message")
        return [], [{"role": "user", "parts": [{"text": text} for text in system]}]
    return system, contents


def _parts(message: Message, names: dict[str, str], model: str, losses: set[str]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    first_call = True
    for part in message.parts:
        if isinstance(part, ToolCallPart):
            # The first of several calls side by side carries the proof for all.
            parts.append(_call(part, demand_proof=first_call and not _BUDGET_MODELS.search(model)))
            first_call = False
        else:
            parts += _part(part, names, losses)
    return parts


def _part(part: Part, names: dict[str, str], losses: set[str]) -> list[dict[str, Any]]:
    match part:
        case TextPart():
            return [{"text": part.text}] if part.text else []
        case ImagePart():
            return [_image(part)]
        case ToolResultPart():
            return _result(part, names)
        case ThinkingPart():
            losses.add("thinking of earlier turns")
    return []


def _call(part: ToolCallPart, *, demand_proof: bool) -> dict[str, Any]:
    text = part.arguments.strip() or "{}"
    try:
        _OBJECT.decode(text)
    except (ValueError, RecursionError):
        raise InvalidRequestError(
            f"found arguments of the call {part.id} that are not a JSON object, expected one", param="messages"
        ) from None
    written: dict[str, Any] = {"functionCall": {"name": part.name, "args": msgspec.Raw(text.encode())}}
    signature = part.signature or (_NO_SIGNATURE if demand_proof else None)
    if signature is not None:
        written["thoughtSignature"] = signature
    return written


def _result(part: ToolResultPart, names: dict[str, str]) -> list[dict[str, Any]]:
    name = names.get(part.call_id) or part.name
    if name is None:
        raise InvalidRequestError(
            f"found a result for the call {part.call_id}, expected a call with this id before it", param="messages"
        )
    text = "\n".join(each.text for each in part.content if isinstance(each, TextPart))
    response = {"error" if part.is_error else "result": text}
    images = [_image(each) for each in part.content if isinstance(each, ImagePart)]
    return [{"functionResponse": {"name": name, "response": response}}, *images]


def _image(part: ImagePart) -> dict[str, Any]:
    if part.url is None:
        return {"inlineData": {"mimeType": part.media_type, "data": part.data}}
    if part.url.startswith(_OWN_FILES):
        return {"fileData": {"fileUri": part.url}}
    raise UnsupportedFeatureError("an image by URL (expected base64)", "gemini")


def _tool(tool: Tool) -> dict[str, Any]:
    written: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    if tool.parameters is not None:
        written["parametersJsonSchema"] = tool.parameters
    return written


def _calling(choice: ToolChoice) -> dict[str, Any]:
    written: dict[str, Any] = {"mode": _MODES[choice.mode]}
    if choice.name is not None:
        written["allowedFunctionNames"] = [choice.name]
    return written


def _config(request: ChatRequest, model: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "maxOutputTokens": request.max_output_tokens,
        "stopSequences": list(request.stop) or None,
        "seed": request.seed,
        "presencePenalty": request.presence_penalty,
        "frequencyPenalty": request.frequency_penalty,
    }
    if request.response_format is not None:
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = request.response_format.schema
    if request.reasoning is not None:
        config["thinkingConfig"] = _thinking(request.reasoning, model)
    return {name: value for name, value in config.items() if value is not None}


def _thinking(reasoning: Reasoning, model: str) -> dict[str, Any]:
    effort = reasoning.effort
    if reasoning.budget_tokens is not None:
        return {"thinkingBudget": reasoning.budget_tokens, "includeThoughts": True}
    if effort is None:
        return {"includeThoughts": True}
    if _BUDGET_MODELS.search(model):
        return {"thinkingBudget": _BUDGETS[effort], "includeThoughts": effort != "none"}
    return {"thinkingLevel": _LEVELS.get(effort, "high"), "includeThoughts": effort != "none"}
