"""The deterministic answer of the fake upstream, before it is written in one of the protocols."""

import json
from dataclasses import dataclass, field
from typing import Any

INPUT_TOKENS_CACHED = 3
SIGNATURE = "c2lnbmF0dXJl"


@dataclass
class Asked:
    """A request as the fake upstream understands it."""

    model: str
    text: str = ""
    words: int = 0
    images: int = 0
    stream: bool = False
    tools: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers_tool: bool = False
    schema: dict[str, Any] | None = None
    wants_json: bool = False
    thinks: bool = False
    wants_usage: bool = False
    max_tokens: int | None = None


@dataclass
class Reply:
    """An answer: `pieces` joined are the text; each call is (id, name, JSON of the arguments)."""

    pieces: list[str]
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    #: In OpenAI's words.
    finish: str = "stop"
    input_tokens: int | None = 0
    output_tokens: int | None = 0

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def reply_to(asked: Asked) -> Reply:
    """Return the answer: the last text of the user in pieces of a word, a call of the first tool, or JSON of the schema."""
    thoughts = ["I think ", "about it."] if asked.thinks else []
    if asked.tools and not asked.answers_tool:
        calls = [(f"call_{n}", name, json.dumps(example_of(schema))) for n, (name, schema) in enumerate(asked.tools)]
        reply = Reply([], calls if "both tools" in asked.text else calls[:1], thoughts, "tool_calls")
    elif asked.schema is not None or asked.wants_json:
        text = json.dumps(example_of(asked.schema or {"type": "object"}))
        reply = Reply([text[i : i + 8] for i in range(0, len(text), 8)], [], thoughts)
    else:
        images = f" ({asked.images} images)" if asked.images else ""
        words = f"You said: {asked.text}{images}".split(" ")
        reply = Reply([f"{word} " for word in words[:-1]] + words[-1:], [], thoughts)
    if asked.max_tokens is not None and len(reply.pieces) > asked.max_tokens:
        reply.pieces, reply.finish = reply.pieces[: asked.max_tokens], "length"
    reply.input_tokens = asked.words + 10
    reply.output_tokens = len(reply.pieces) + 5 * len(reply.calls) + len(thoughts)
    return reply


def example_of(schema: dict[str, Any]) -> Any:
    """Return the smallest value of a JSON schema, with each property of an object."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0]
    match str(kind).lower():
        case "object":
            return {name: example_of(inner) for name, inner in schema.get("properties", {}).items()}
        case "array":
            return [example_of(schema.get("items", {}))]
        case "integer":
            return 7
        case "number":
            return 1.5
        case "boolean":
            return True
    return "Paris"


def embedding(text: str, dimensions: int | None) -> list[float]:
    """Return the vector of a text: the same for the same text."""
    seed = sum(text.encode())
    return [round(((seed * (n + 1)) % 97) / 97, 6) for n in range(dimensions or 8)]
