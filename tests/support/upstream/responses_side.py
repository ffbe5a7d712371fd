"""OpenAI's Responses at the fake upstream."""

import json
from typing import Any

from support.upstream import openai_side
from support.upstream.reply import INPUT_TOKENS_CACHED, Asked, Reply

NAME = "responses"


def read(body: dict[str, Any]) -> Asked:
    asked = Asked(
        model=body["model"], stream=bool(body.get("stream")), wants_usage=True, max_tokens=body.get("max_output_tokens")
    )
    items = body["input"]
    texts = [items] if isinstance(items, str) else [part["text"] for item in items for part in item["content"]]
    asked.text = " ".join(texts)
    asked.words = len(asked.text.split())
    for tool in body.get("tools") or ():
        asked.tools.append((tool["name"], tool.get("parameters") or {"type": "object"}))
    form = (body.get("text") or {}).get("format") or {}
    if form.get("type") == "json_schema":
        asked.schema = form["schema"]
    return asked


def _output(reply: Reply) -> list[dict[str, Any]]:
    calls = [
        {"type": "function_call", "id": f"fc_{id_}", "call_id": id_, "name": name, "arguments": arguments,
         "status": "completed"}
        for id_, name, arguments in reply.calls
    ]  # fmt: skip
    if not reply.text:
        return calls
    content = [{"type": "output_text", "text": reply.text, "annotations": []}]
    return [
        {"type": "message", "id": "msg_fake", "role": "assistant", "status": "completed", "content": content},
        *calls,
    ]


def plain(asked: Asked, reply: Reply, cost: float | None) -> dict[str, Any]:
    incomplete = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(reply.finish)
    body: dict[str, Any] = {
        "id": "resp_fake",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "incomplete" if incomplete else "completed",
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "error": None,
        "model": asked.model,
        "output": _output(reply),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    if reply.input_tokens is not None:
        body["usage"] = {
            "input_tokens": reply.input_tokens,
            "output_tokens": reply.output_tokens,
            "total_tokens": reply.input_tokens + (reply.output_tokens or 0),
            "input_tokens_details": {"cached_tokens": INPUT_TOKENS_CACHED if reply.input_tokens else 0},
            "output_tokens_details": {"reasoning_tokens": 0},
            **({} if cost is None else {"cost": cost}),
        }
    return body


def events(asked: Asked, reply: Reply, cost: float | None) -> list[bytes]:
    """Return the events of a stream, with its proper end."""
    whole = plain(asked, reply, cost)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    bodies: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(whole["output"]):
        bodies.append({"type": "response.output_item.added", "output_index": index, "item": {**item, "arguments": ""}})
        where = {"item_id": item["id"], "output_index": index}
        if item["type"] == "message":
            text = {"type": "response.output_text.delta", **where, "content_index": 0, "logprobs": []}
            bodies += [{**text, "delta": piece} for piece in reply.pieces]
        else:
            bodies.append({"type": "response.function_call_arguments.delta", **where, "delta": item["arguments"]})
        bodies.append({"type": "response.output_item.done", "output_index": index, "item": item})
    bodies.append({"type": f"response.{whole['status']}", "response": whole})
    return [_event({**body, "sequence_number": number}) for number, body in enumerate(bodies)]


def end() -> list[bytes]:
    return []


def error(status: int, message: str, kind: str) -> dict[str, Any]:
    if status == 404 and kind != "model-missing":
        return {"detail": "Not Found"}  # as a service answers that does not have the path
    return openai_side.error(status, message, kind)


def error_event(message: str) -> bytes:
    failed = {"id": "resp_fake", "status": "failed", "error": {"code": "server_error", "message": message}}
    return _event({"type": "response.failed", "response": failed, "sequence_number": 99})


def statuses() -> dict[str, int]:
    return openai_side.statuses()


def _event(body: dict[str, Any]) -> bytes:
    return f"event: {body['type']}\ndata: {json.dumps(body)}\n\n".encode()
