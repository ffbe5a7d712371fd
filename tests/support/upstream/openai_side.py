"""The OpenAI side of the fake upstream."""

import json
from typing import Any

from support.upstream.reply import INPUT_TOKENS_CACHED, Asked, Reply

NAME = "openai"
TOO_LONG = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."


def read(body: dict[str, Any]) -> Asked:
    asked = Asked(
        model=body["model"],
        stream=bool(body.get("stream")),
        wants_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        thinks=body.get("reasoning_effort") not in (None, "none"),
    )
    for message in body["messages"]:
        content = message.get("content") or ""
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        text = " ".join(part["text"] for part in parts if part["type"] == "text")
        asked.images += sum(part["type"] == "image_url" for part in parts)
        asked.words += len(text.split())
        if message["role"] in ("user", "tool"):
            asked.text = text
        asked.answers_tool = message["role"] == "tool"
    if body.get("tool_choice") != "none":
        for tool in body.get("tools") or ():
            asked.tools.append((tool["function"]["name"], tool["function"].get("parameters") or {"type": "object"}))
    form = body.get("response_format") or {}
    asked.wants_json = form.get("type") == "json_object"
    if form.get("type") == "json_schema":
        asked.schema = form["json_schema"]["schema"]
    return asked


def usage(reply: Reply, cost: float | None) -> dict[str, Any] | None:
    if reply.input_tokens is None:
        return None
    numbers: dict[str, Any] = {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.input_tokens + reply.output_tokens,
        "prompt_tokens_details": {"cached_tokens": INPUT_TOKENS_CACHED if reply.input_tokens else 0},
        "completion_tokens_details": {"reasoning_tokens": len(reply.thoughts)},
    }
    return numbers if cost is None else {**numbers, "cost": cost}


def _call(position: int, call: tuple[str, str, str], arguments: str) -> dict[str, Any]:
    return {"index": position, "id": call[0], "type": "function", "function": {"name": call[1], "arguments": arguments}}


def plain(asked: Asked, reply: Reply, cost: float | None) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": reply.text or (None if reply.calls else ""),
        "refusal": None,
    }
    if reply.thoughts:
        message["reasoning_content"] = "".join(reply.thoughts)
    if reply.calls:
        message["tool_calls"] = [_call(n, call, call[2]) for n, call in enumerate(reply.calls)]
    body = {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": asked.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}],
    }
    counted = usage(reply, cost)
    return body if counted is None else {**body, "usage": counted}


def events(asked: Asked, reply: Reply, cost: float | None) -> list[bytes]:
    """Return the events of a stream, the end apart."""
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"reasoning_content": thought}, None) for thought in reply.thoughts]
    deltas += [({"content": piece}, None) for piece in reply.pieces]
    for n, call in enumerate(reply.calls):
        deltas.append(({"tool_calls": [_call(n, call, "")]}, None))
        for start in range(0, len(call[2]), 5):
            piece = {"index": n, "function": {"arguments": call[2][start : start + 5]}}
            deltas.append(({"tool_calls": [piece]}, None))
    deltas.append(({}, reply.finish))
    head = {
        "id": "chatcmpl-fake",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": asked.model,
    }
    chunks: list[dict[str, Any]] = []
    for delta, finish in deltas:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunks.append({**head, "choices": [choice], **({"usage": None} if asked.wants_usage else {})})
    counted = usage(reply, cost) if asked.wants_usage else None
    if counted is not None:
        chunks.append({**head, "choices": [], "usage": counted})
    return [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]


def end() -> list[bytes]:
    return [b"data: [DONE]\n\n"]


def error(status: int, message: str, kind: str) -> dict[str, Any]:
    known = {
        "quota": ("insufficient_quota", "insufficient_quota"),
        "policy": ("invalid_request_error", "content_filter"),
        "context-length": ("invalid_request_error", "context_length_exceeded"),
        "model-missing": ("invalid_request_error", "model_not_found"),
        "echo-key": ("invalid_request_error", "invalid_api_key"),
    }
    type_, code = known.get(kind, ("rate_limit_error" if status == 429 else "server_error", None))
    if status == 400 and kind not in known:
        type_ = "invalid_request_error"
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}


def error_event(message: str) -> bytes:
    return (
        b"data: " + json.dumps({"error": {"message": message, "type": "server_error", "code": 502}}).encode() + b"\n\n"
    )


def statuses() -> dict[str, int]:
    return {
        "policy": 400,
        "quota": 429,
        "context-length": 400,
        "model-missing": 404,
        "echo-key": 401,
        "bad-request": 400,
    }
