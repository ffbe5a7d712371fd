"""The Gemini side of the fake upstream."""

import json
from typing import Any

from support.upstream.reply import INPUT_TOKENS_CACHED, SIGNATURE, Asked, Reply

NAME = "gemini"
TOO_LONG = "The input token count (9000) exceeds the maximum number of tokens allowed (8192)."
_STOP = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}


def read(body: dict[str, Any], model: str = "", stream: bool = False) -> Asked:
    # Google's services take both spellings of a field, and its client sends both.
    config = body.get("generationConfig") or {}
    thinking = config.get("thinkingConfig") or {}
    asked = Asked(
        model=model,
        stream=stream,
        wants_usage=True,
        max_tokens=config.get("maxOutputTokens"),
        thinks=bool(thinking.get("includeThoughts") or thinking.get("include_thoughts")),
        wants_json=config.get("responseMimeType") == "application/json",
        schema=config.get("responseJsonSchema") or config.get("responseSchema"),
    )
    for part in (body.get("systemInstruction") or {}).get("parts", ()):
        asked.words += len(part["text"].split())
    for content in body["contents"]:
        parts = content["parts"]
        texts = [part["text"] for part in parts if "text" in part]
        results = [part["functionResponse"] for part in parts if "functionResponse" in part]
        texts += [str(next(iter(result["response"].values()), "")) for result in results]
        asked.images += sum("inlineData" in part or "fileData" in part for part in parts)
        asked.words += len(" ".join(texts).split())
        asked.answers_tool = bool(results)
        if content.get("role", "user") == "user":
            asked.text = " ".join(texts)
    mode = ((body.get("toolConfig") or {}).get("functionCallingConfig") or {}).get("mode")
    if mode != "NONE":
        for tool in body.get("tools") or ():
            for each in tool.get("functionDeclarations", ()):
                schema = (
                    each.get("parametersJsonSchema")
                    or each.get("parameters_json_schema")
                    or each.get("parameters")
                    or {"type": "object"}
                )
                asked.tools.append((each["name"], schema))
    return asked


def usage(reply: Reply) -> dict[str, Any] | None:
    if reply.input_tokens is None:
        return None
    answer = (reply.output_tokens or 0) - len(reply.thoughts)
    counted: dict[str, Any] = {
        "promptTokenCount": reply.input_tokens,
        "candidatesTokenCount": answer,
        "totalTokenCount": reply.input_tokens + (reply.output_tokens or 0),
        "cachedContentTokenCount": INPUT_TOKENS_CACHED if reply.input_tokens else 0,
    }
    return {**counted, "thoughtsTokenCount": len(reply.thoughts)} if reply.thoughts else counted


def _parts(reply: Reply) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"text": thought, "thought": True} for thought in reply.thoughts]
    parts += [{"text": piece} for piece in reply.pieces]
    for n, (_, name, arguments) in enumerate(reply.calls):
        part: dict[str, Any] = {"functionCall": {"name": name, "args": json.loads(arguments)}}
        parts.append({**part, "thoughtSignature": SIGNATURE} if n == 0 else part)
    return parts


def _answer(asked: Asked, parts: list[dict[str, Any]], finish: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": asked.model, "responseId": "gemini-fake"}


def plain(asked: Asked, reply: Reply, cost: float | None) -> dict[str, Any]:
    body = _answer(asked, _parts(reply), _STOP[reply.finish])
    counted = usage(reply)
    return body if counted is None else {**body, "usageMetadata": counted}


def events(asked: Asked, reply: Reply, cost: float | None) -> list[bytes]:
    """Return the events of a stream; the last one has the finish."""
    parts = _parts(reply) or [{"text": ""}]
    counted = usage(reply)
    found = []
    for part in parts:
        body = _answer(asked, [part], None)
        if counted is not None:
            body["usageMetadata"] = {**counted, "candidatesTokenCount": min(1, counted["candidatesTokenCount"])}
        found.append(body)
    return [b"data: " + json.dumps(body).encode() + b"\r\n\r\n" for body in found]


def last(asked: Asked, reply: Reply) -> list[bytes]:
    body = _answer(asked, [{"text": ""}], _STOP[reply.finish])
    counted = usage(reply)
    if counted is not None:
        body["usageMetadata"] = counted
    return [b"data: " + json.dumps(body).encode() + b"\r\n\r\n"]


def end() -> list[bytes]:
    return []


def error(status: int, message: str, kind: str) -> dict[str, Any]:
    if kind == "policy":
        return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "modelVersion": "fake"}
    words = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        503: "UNAVAILABLE",
        504: "DEADLINE_EXCEEDED",
    }
    if kind == "model-missing":
        message = "models/m is not found for API version v1beta, or is not supported for generateContent."
    body: dict[str, Any] = {"code": status, "message": message, "status": words.get(status, "INTERNAL")}
    if reason := {"echo-key": "API_KEY_INVALID", "quota": "BILLING_DISABLED"}.get(kind):
        body["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]
    return {"error": body}


def error_event(message: str) -> bytes:
    return b"data: " + json.dumps(error(503, message, "")).encode() + b"\r\n\r\n"


def statuses() -> dict[str, int]:
    return {
        "policy": 200,
        "quota": 403,
        "context-length": 400,
        "model-missing": 404,
        "echo-key": 400,
        "bad-request": 400,
    }
