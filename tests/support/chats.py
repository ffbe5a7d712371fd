"""Chats for tests: neutral requests, upstreams, and the bytes that the fake upstream would answer."""

import json
from types import ModuleType
from typing import Any

from instance_agent.chat.answers import ChatAnswer, StreamEvent
from instance_agent.chat.messages import ChatRequest, Message, TextPart, Tool
from instance_agent.providers.collector import AnswerCollector
from instance_agent.providers.dialect import HttpCall
from instance_agent.providers.upstream import Limits, Secret, Upstream
from support.upstream import anthropic_side, gemini_side, openai_side
from support.upstream.reply import Asked, reply_to

KEY = "sk-test-0123456789abcdef"
SIDES: dict[str, ModuleType] = {"openai": openai_side, "anthropic": anthropic_side, "gemini": gemini_side}
WEATHER = Tool(
    "weather",
    "The weather of a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}


def a_request(text: str = "hello there", **fields: Any) -> ChatRequest:
    return ChatRequest(**{"model": "auto", "messages": (Message("user", (TextPart(text),)),), **fields})


def an_upstream(dialect: str, url: str = "http://127.0.0.1:9", **limits: Any) -> Upstream:
    return Upstream(
        provider="fake",
        dialect=dialect,
        base_url=url,
        api_key=Secret(KEY),
        limits=Limits(**{"first_byte": 20.0, **limits}),
    )


def asked_by(dialect: str, call: HttpCall) -> Asked:
    """Return the request as the fake upstream understands it."""
    body = json.loads(call.body or b"{}")
    if dialect == "gemini":
        return gemini_side.read(body, "fake-small", ":streamGenerateContent" in call.url)
    return SIDES[dialect].read(body)  # type: ignore[no-any-return]


def answer_bytes(dialect: str, asked: Asked) -> bytes:
    return json.dumps(SIDES[dialect].plain(asked, reply_to(asked), None)).encode()


def stream_bytes(dialect: str, asked: Asked) -> bytes:
    side, reply = SIDES[dialect], reply_to(asked)
    last = gemini_side.last(asked, reply) if dialect == "gemini" else side.end()
    return b"".join([*side.events(asked, reply, None), *last])


def collected(events: list[StreamEvent]) -> ChatAnswer:
    collector = AnswerCollector()
    for event in events:
        collector.add(event)
    assert collector.error is None
    assert collector.completed
    return collector.answer()
