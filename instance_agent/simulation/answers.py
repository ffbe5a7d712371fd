"""The answers of simulated models. Pure.

A right answer keeps to the request: a call of the first tool, JSON of the schema, the result of the sum, or a text. A wrong
one is always one that can be found out, so that it reaches the loop by the ways of every other wrong answer:

| the request | a wrong answer | found by |
|---|---|---|
| has tools | a call whose arguments are not JSON | the gateway's check of answers |
| wants JSON | text that is not JSON | the gateway's check of answers |
| holds a sum, such as ``17 + 25`` | a wrong result | the caller, who reports it as feedback |
| anything else | an empty answer | the gateway's check of answers |
"""

import re
from typing import Any, Final

import msgspec

from instance_agent.chat.answers import AnswerPart, ChatAnswer, FinishReason, Usage
from instance_agent.chat.messages import (
    JSON_ONLY,
    ChatRequest,
    ImagePart,
    ResponseFormat,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from instance_agent.chat.protocol import RequestHead

_SUM: Final = re.compile(r"(\d{1,9})\s*\+\s*(\d{1,9})")
_ANY_JSON: Final = ResponseFormat("json_object")
_ENCODER: Final = msgspec.json.Encoder()
_CHARACTERS_PER_TOKEN: Final = 4
_TOKENS_PER_IMAGE: Final = 1000
#: Deeper schemas end in an empty value.
_MAX_DEPTH: Final = 12
_FILLER_TEXT: Final = (
    "This text is simulated. It has the length of an answer to a task of this complexity, so that streams, tokens and costs "
    "are like those of a real one."
)
_FILLER: Final = _FILLER_TEXT.split()


def answer_to(
    head: RequestHead, request: ChatRequest, model: str, *, number: int, right: bool, tokens: int
) -> ChatAnswer:
    """Return the answer of `model`.

    Args:
        number: of the call, for ids.
        right: whether the answer is right.
        tokens: length of a free text.
    """
    parts: tuple[AnswerPart, ...]
    finish: FinishReason = "stop"
    if _calls_a_tool(request):
        tool = next((each for each in request.tools if each.name == _named(request)), request.tools[0])
        arguments = _ENCODER.encode(example_of(tool.parameters or {"type": "object"})).decode()
        parts = (ToolCallPart(f"call_{number}", tool.name, arguments if right else '{"cut": '),)
        finish = "tool_calls"
        length = len(arguments) // _CHARACTERS_PER_TOKEN + 5
    else:
        words = _words(head, request, model, right=right, tokens=tokens)
        limit = request.max_output_tokens
        if limit is not None and len(words) > limit:
            words, finish = words[:limit], "length"
        parts = (TextPart("".join(words)),) if words else ()
        length = len(words)
    usage = Usage(input_tokens=_input_tokens(head, request), output_tokens=length)
    return ChatAnswer(id=f"sim-{model}-{number}", model=model, parts=parts, finish=finish, usage=usage)


def sum_in(text: str) -> tuple[int, int] | None:
    """Return the numbers of the last sum in a text, None without one."""
    found = _SUM.findall(text[-2000:])
    return (int(found[-1][0]), int(found[-1][1])) if found else None


def example_of(schema: dict[str, Any], depth: int = 0) -> Any:
    """Return a small value of a JSON schema, with every property of its objects; None where it is nested too deeply."""
    if depth > _MAX_DEPTH:
        return None
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    if schema.get("enum"):
        return schema["enum"][0]
    for name in ("anyOf", "oneOf", "allOf"):
        if schema.get(name):
            return example_of(schema[name][0], depth + 1)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    match kind:
        case "object":
            properties = schema.get("properties") or {}
            return {name: example_of(inner, depth + 1) for name, inner in properties.items()}
        case "array":
            return [example_of(schema.get("items") or {}, depth + 1) for _ in range(max(1, schema.get("minItems", 1)))]
        case "integer":
            return max(7, schema.get("minimum", 7))
        case "number":
            return max(1.5, schema.get("minimum", 1.5))
        case "boolean":
            return True
        case "null":
            return None
    return "simulated"


def _calls_a_tool(request: ChatRequest) -> bool:
    if not request.tools or (request.tool_choice is not None and request.tool_choice.mode == "none"):
        return False
    return not any(isinstance(part, ToolResultPart) for part in request.messages[-1].parts)


def _named(request: ChatRequest) -> str | None:
    return None if request.tool_choice is None else request.tool_choice.name


def _words(head: RequestHead, request: ChatRequest, model: str, *, right: bool, tokens: int) -> list[str]:
    """Return a text in tokens of a word each."""
    form = request.response_format
    if form is None and any(JSON_ONLY in text for text in request.system):
        form = _ANY_JSON  # Anthropic's protocol has no field for it
    if form is not None:
        if not right:
            return [f"{word} " for word in ["I", "would", "rather", "answer", "in", "prose."]]
        schema = form.schema if form.kind == "json_schema" and form.schema else {"type": "object"}
        text = _ENCODER.encode(example_of(schema)).decode()
        return [text[start : start + 4] for start in range(0, len(text), 4)]
    asked = sum_in(head.text)
    if asked is None and not right:
        return []
    words = []
    if asked is not None:
        result = sum(asked) + (0 if right else 1)
        words = f"{asked[0]} + {asked[1]} = {result}.".split(" ")
    words += f"Answered by {model}.".split(" ")
    words += [_FILLER[place % len(_FILLER)] for place in range(max(0, tokens - len(words)))]
    return [f"{word} " for word in words[:-1]] + words[-1:]


def _input_tokens(head: RequestHead, request: ChatRequest) -> int:
    images = sum(isinstance(part, ImagePart) for message in request.messages for part in message.parts)
    return 10 + head.characters // _CHARACTERS_PER_TOKEN + images * _TOKENS_PER_IMAGE
