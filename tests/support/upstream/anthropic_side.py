"""The Anthropic side of the fake upstream."""

import json
from typing import Any

from support.upstream.reply import INPUT_TOKENS_CACHED, SIGNATURE, Asked, Reply

NAME = "anthropic"
TOO_LONG = "prompt is too long: 9000 tokens > 8192 maximum"
_STOP = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


def read(body: dict[str, Any]) -> Asked:
    asked = Asked(
        model=body["model"],
        stream=bool(body.get("stream")),
        wants_usage=True,
        max_tokens=body.get("max_tokens"),
        thinks=(body.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
    )
    system = body.get("system") or ""
    asked.words += len((system if isinstance(system, str) else " ".join(each["text"] for each in system)).split())
    for message in body["messages"]:
        content = message["content"]
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        texts = [block["text"] for block in blocks if block["type"] == "text"]
        results = [block for block in blocks if block["type"] == "tool_result"]
        for result in results:
            inner = result.get("content") or ""
            texts.append(inner if isinstance(inner, str) else " ".join(each.get("text", "") for each in inner))
        asked.images += sum(block["type"] == "image" for block in blocks)
        asked.words += len(" ".join(texts).split())
        asked.answers_tool = bool(results)
        if message["role"] == "user":
            asked.text = " ".join(texts)
    if (body.get("tool_choice") or {}).get("type") != "none":
        asked.tools = [(tool["name"], tool["input_schema"]) for tool in body.get("tools") or ()]
    form = (body.get("output_config") or {}).get("format") or body.get("output_format")
    asked.schema = form["schema"] if form else None
    return asked


def usage(reply: Reply) -> dict[str, Any]:
    if reply.input_tokens is None:
        return {}
    cached = INPUT_TOKENS_CACHED if reply.input_tokens else 0
    return {
        "input_tokens": reply.input_tokens - cached,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": reply.output_tokens,
    }


def plain(asked: Asked, reply: Reply, cost: float | None) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if reply.thoughts:
        content.append({"type": "thinking", "thinking": "".join(reply.thoughts), "signature": SIGNATURE})
    if reply.text:
        content.append({"type": "text", "text": reply.text})
    for id_, name, arguments in reply.calls:
        content.append({"type": "tool_use", "id": f"toolu_{id_}", "name": name, "input": json.loads(arguments)})
    return {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": content,
        "stop_reason": _STOP[reply.finish],
        "stop_sequence": None,
        **({"usage": usage(reply)} if reply.input_tokens is not None else {}),
    }


def _event(name: str, **fields: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()


def events(asked: Asked, reply: Reply, cost: float | None) -> list[bytes]:
    """Return the events of a stream, the end apart."""
    message = {**plain(asked, reply, cost), "content": [], "stop_reason": None}
    if reply.input_tokens is not None:
        message["usage"] = {**usage(reply), "output_tokens": 1}
    found = [_event("message_start", message=message), _event("ping")]
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if reply.thoughts:
        deltas = [{"type": "thinking_delta", "thinking": thought} for thought in reply.thoughts]
        deltas.append({"type": "signature_delta", "signature": SIGNATURE})
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
    if reply.pieces:
        blocks.append(({"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in reply.pieces]))
    for id_, name, arguments in reply.calls:
        pieces = ["", *(arguments[start : start + 5] for start in range(0, len(arguments), 5))]
        block = {"type": "tool_use", "id": f"toolu_{id_}", "name": name, "input": {}}
        blocks.append((block, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]))
    for index, (block, deltas) in enumerate(blocks):
        found.append(_event("content_block_start", index=index, content_block=block))
        found += [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
        found.append(_event("content_block_stop", index=index))
    ending = {"stop_reason": _STOP[reply.finish], "stop_sequence": None}
    counted = {} if reply.output_tokens is None else {"usage": {"output_tokens": reply.output_tokens}}
    found.append(_event("message_delta", delta=ending, **counted))
    return found


def end() -> list[bytes]:
    return [_event("message_stop")]


def error(status: int, message: str, kind: str) -> dict[str, Any]:
    types = {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        504: "timeout_error",
        529: "overloaded_error",
    }
    if kind == "policy":
        message = "Output blocked by content filtering policy"
    if kind == "model-missing":
        message = "model: m"
    if kind == "quota":
        message = "Your credit balance is too low to access the API."
    return {
        "type": "error",
        "error": {"type": types.get(status, "api_error"), "message": message},
        "request_id": "req_fake",
    }


def error_event(message: str) -> bytes:
    return _event("error", error={"type": "overloaded_error", "message": message})


def statuses() -> dict[str, int]:
    return {
        "policy": 400,
        "quota": 400,
        "context-length": 400,
        "model-missing": 404,
        "echo-key": 401,
        "bad-request": 400,
    }
