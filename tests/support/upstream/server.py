"""The HTTP server of the fake upstream."""

import asyncio
import base64
import gzip
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from types import ModuleType
from typing import Any

from aiohttp import web

from support.upstream import anthropic_side, gemini_side, openai_side, responses_side
from support.upstream.behaviour import BEHAVIOURS, Behaviour, UnknownBehaviourError
from support.upstream.record import Record
from support.upstream.reply import Asked, Reply, embedding, reply_to

RECORD = web.AppKey("record", Record)
MODELS = ("fake-small", "fake-large", "fake-embedding")


def application() -> web.Application:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app[RECORD] = Record()
    app.router.add_post("/v1/chat/completions", _chat(openai_side))
    app.router.add_post("/v1/messages", _chat(anthropic_side))
    app.router.add_post("/v1/responses", _chat(responses_side))
    app.router.add_post("/v1/messages/count_tokens", _recorded(_count_tokens))
    app.router.add_post("/v1/embeddings", _recorded(_embeddings))
    app.router.add_get("/v1/models", _recorded(_models))
    app.router.add_get("/v1beta/models", _recorded(_gemini_models))
    for version in ("v1", "v1beta"):
        app.router.add_post(f"/{version}/models/{{model}}:{{operation}}", _gemini)
    app.router.add_get("/up/{model}", _up)
    app.router.add_get("/control/state", _state)
    app.router.add_get("/control/behaviours", _behaviours)
    app.router.add_post("/control/behave", _behave)
    app.router.add_post("/control/release", _release)
    app.router.add_post("/control/reset", _reset)
    return app


async def _state(request: web.Request) -> web.Response:
    return web.json_response(request.app[RECORD].state())


async def _behaviours(request: web.Request) -> web.Response:
    return web.json_response(BEHAVIOURS)


async def _behave(request: web.Request) -> web.Response:
    order = await request.json()
    try:
        Behaviour.parse(order["behaviour"])
    except UnknownBehaviourError as error:
        return web.json_response({"error": str(error)}, status=400)
    request.app[RECORD].order(order["behaviour"], order.get("times"), order.get("model"))
    return web.json_response({})


async def _release(request: web.Request) -> web.Response:
    request.app[RECORD].release()
    return web.json_response({})


async def _reset(request: web.Request) -> web.Response:
    request.app[RECORD].reset()
    return web.json_response({})


class _Exchange:
    """One request, its entry in the record and its misbehaviours."""

    def __init__(self, request: web.Request, side: ModuleType, body: bytes, model: str | None) -> None:
        self.request = request
        self.side = side
        self.record = request.app[RECORD]
        headers = {name.lower(): value for name, value in request.headers.items()}
        text = body.decode(errors="replace")
        self.entry = self.record.begin(request.method, request.path, headers, text, model)
        chosen = headers.get("x-fake-behaviour") or (model or "").partition("!")[2] or self.record.take_order(model)
        self.behaviour = Behaviour.parse(chosen)

    async def run(self, answer: Callable[["_Exchange"], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        try:
            response = await self._before_headers() or await answer(self)
        except (asyncio.CancelledError, ConnectionResetError):
            self.record.end(self.entry, "client gone")
            raise
        except Exception:
            self.record.end(self.entry, "broken")
            raise
        self.record.end(self.entry, "answered")
        return response

    def break_connection(self) -> None:
        self.record.end(self.entry, "broken")
        if self.request.transport is not None:
            self.request.transport.abort()

    async def _before_headers(self) -> web.StreamResponse | None:
        chosen, side = self.behaviour, self.side
        if "hold" in chosen:
            await self.record.released.wait()
        if "slow-headers" in chosen:
            await asyncio.sleep(chosen.number("slow-headers"))
        if "hang" in chosen:
            await asyncio.Event().wait()
        if "reset" in chosen:
            self.break_connection()
            return web.Response()
        if "not-http" in chosen and self.request.transport is not None:
            self.request.transport.write(b"SSH-2.0-OpenSSH_9.2\r\n")
            self.break_connection_softly()
            return web.Response()
        if "redirect" in chosen:
            return web.Response(status=302, headers={"location": chosen.text("redirect")})
        if "html" in chosen:
            return web.Response(text="<html>Please log in.</html>", content_type="text/html")
        if "empty-body" in chosen:
            return web.Response(body=b"", content_type="application/json")
        statuses = side.statuses()
        kind = next((name for name in chosen if name in statuses), "")
        if not kind and "status" not in chosen:
            return None
        status = int(chosen.number("status")) if "status" in chosen else statuses[kind]
        message = self._echo() if kind == "echo-key" else f"the fake upstream refuses: {kind or status}"
        if kind == "context-length":
            message = side.TOO_LONG
        body = self.error(status, message, kind)
        if status == 200 and self.entry["path"].endswith(":streamGenerateContent"):
            event = b"data: " + json.dumps(body).encode() + b"\r\n\r\n"
            return web.Response(body=event, headers={"content-type": "text/event-stream"})
        if "retry-info" in chosen:
            info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{chosen.text('retry-info')}s"}
            body["error"]["details"] = [info]
        return web.json_response(body, status=status, headers=self._error_headers())

    async def reset_connection_after(self, response: web.StreamResponse, data: bytes) -> None:
        """Send bytes, and reset the connection in the same moment."""
        await response.write(data)
        if (transport := self.request.transport) is not None:
            # The bytes have arrived on this machine; without lingering, the close is a reset.
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.break_connection()

    def break_connection_softly(self) -> None:
        self.record.end(self.entry, "broken")
        if self.request.transport is not None:
            self.request.transport.close()

    def words(self, message: str) -> str:
        return f"cannot do {self.entry['body']} for {self._key()}" if "echo" in self.behaviour else message

    def error(self, status: int, message: str, kind: str) -> dict[str, Any]:
        """Return the body of an error."""
        body: dict[str, Any] = self.side.error(status, self.words(message), kind)
        if "echo" in self.behaviour:
            found = {
                name: self.words("") for name, value in body["error"].items() if value is None or value == str(value)
            }
            body["error"] |= found
        return body

    def _key(self) -> str:
        headers = self.entry["headers"]
        key = headers.get("authorization", "").partition(" ")[2]
        return key or headers.get("x-api-key") or headers.get("x-goog-api-key") or headers.get("api-key") or ""

    def _echo(self) -> str:
        key = self._key()
        encoded = base64.b64encode(f"user:{key}".encode()).decode()
        return (
            f"Incorrect API key provided: {key}. Sent: Authorization: Bearer {key} (Basic {encoded}), "
            f"beginning {key[:12]}***, at https://fake.example/v1/models?key={key}&alt=sse"
        )

    def _error_headers(self) -> dict[str, str]:
        chosen = self.behaviour
        headers = {}
        if "echo" in chosen:
            headers = dict.fromkeys(("x-error", "retry-after", "www-authenticate"), self.words(""))
        if "retry-after" in chosen:
            headers["retry-after"] = chosen.text("retry-after")
        if "retry-after-date" in chosen:
            headers["retry-after"] = formatdate(time.time() + chosen.number("retry-after-date"), usegmt=True)
        if "retry-after-ms" in chosen:
            headers["retry-after-ms"] = chosen.text("retry-after-ms")
        if "ratelimit-reset" in chosen:
            headers["x-ratelimit-remaining-requests"] = "0"
            headers["x-ratelimit-reset-requests"] = chosen.text("ratelimit-reset") or "6m0s"
        return headers


_Answer = Callable[[_Exchange], Awaitable[web.StreamResponse]]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _recorded(answer: _Answer) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        model = json.loads(body).get("model") if body else None
        side = anthropic_side if "x-api-key" in request.headers else openai_side
        return await _run(request, side, body, model, answer)

    return handle


async def _up(request: web.Request) -> web.StreamResponse:
    """Answer a health check; it misbehaves as its model does."""

    async def answer(_exchange: _Exchange) -> web.StreamResponse:
        return web.json_response({"status": "up"})

    return await _run(request, openai_side, b"", request.match_info["model"], answer)


async def _run(
    request: web.Request, side: ModuleType, body: bytes, model: str | None, answer: _Answer
) -> web.StreamResponse:
    try:
        exchange = _Exchange(request, side, body, model)
    except UnknownBehaviourError as error:
        return web.json_response(side.error(418, str(error), ""), status=418)
    return await exchange.run(answer)


def _chat(side: ModuleType) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        try:
            body = json.loads(raw)
            asked = side.read(body)
        except (ValueError, KeyError, TypeError) as error:
            return web.json_response(side.error(400, f"not a request: {error!r}", "bad-request"), status=400)

        async def answer(exchange: _Exchange) -> web.StreamResponse:
            return await _answer(exchange, asked)

        return await _run(request, side, raw, asked.model, answer)

    return handle


async def _gemini(request: web.Request) -> web.StreamResponse:
    raw = await request.read()
    model, operation = request.match_info["model"], request.match_info["operation"]

    async def answer(exchange: _Exchange) -> web.StreamResponse:
        body = json.loads(raw)
        if operation == "batchEmbedContents":
            vectors = [
                {"values": embedding(each["content"]["parts"][0]["text"], each.get("outputDimensionality"))}
                for each in body["requests"]
            ]
            return web.json_response({"embeddings": vectors})
        if operation == "countTokens":
            return web.json_response(
                {"totalTokens": gemini_side.read(body.get("generateContentRequest") or body).words}
            )
        try:
            asked = gemini_side.read(body, model, operation == "streamGenerateContent")
        except (KeyError, TypeError) as error:
            return web.json_response(gemini_side.error(400, f"not a request: {error!r}", ""), status=400)
        return await _answer(exchange, asked)

    return await _run(request, gemini_side, raw, model, answer)


def _shape(asked: Asked, chosen: Behaviour) -> Reply:
    reply = reply_to(asked)
    if "empty-answer" in chosen:
        reply.pieces, reply.calls = [], []
    if "truncated" in chosen:
        reply.finish, reply.pieces = "length", reply.pieces[:2]
    if "content-filter" in chosen:
        reply.finish = "content_filter"
    if "huge" in chosen:
        reply.pieces = ["x" * 65_536] * max(1, int(chosen.number("huge") / 65_536))
    if "malformed-arguments" in chosen:
        reply.calls = [(id_, name, '{"city": ') for id_, name, _ in reply.calls]
    if "usage-missing" in chosen:
        reply.input_tokens = reply.output_tokens = None
    if "usage-zero" in chosen:
        reply.input_tokens = reply.output_tokens = 0
    return reply


async def _answer(exchange: _Exchange, asked: Asked) -> web.StreamResponse:
    chosen, side = exchange.behaviour, exchange.side
    reply = _shape(asked, chosen)
    cost = chosen.number("cost") if "cost" in chosen else None
    if "error-in-200" in chosen:
        return web.json_response(exchange.error(503, "the fake upstream is overloaded", ""))
    if asked.stream and "stream-ignored" not in chosen:
        return await _stream(exchange, asked, reply, cost)
    body = json.dumps(side.plain(asked, reply, cost)).encode()
    if "invalid-json" in chosen:
        body = body[: len(body) // 2]
    if "cut-answer" in chosen or "die" in chosen:
        return await _cut(exchange, body)
    headers = {"content-type": "application/json"}
    if "gzip" in chosen:
        return web.Response(body=gzip.compress(body), headers={**headers, "content-encoding": "gzip"})
    if "bad-gzip" in chosen:
        return web.Response(body=body, headers={**headers, "content-encoding": "gzip"})
    return web.Response(body=body, headers=headers)


async def _cut(exchange: _Exchange, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "application/json", "content-length": str(len(body))})
    await response.prepare(exchange.request)
    await response.write(body[: len(body) // 2])
    exchange.break_connection_softly()
    return response


async def _stream(exchange: _Exchange, asked: Asked, reply: Reply, cost: float | None) -> web.StreamResponse:
    chosen = exchange.behaviour
    response = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-cache"})
    if "gzip" in chosen:
        response.headers["content-encoding"] = "gzip"
    await response.prepare(exchange.request)
    if "slow-first-token" in chosen:
        await asyncio.sleep(chosen.number("slow-first-token"))
    for _ in range(int(chosen.number("comments", 3)) if "comments" in chosen else 0):
        await response.write(b": keep-alive\n\n")
    events = _events(exchange, asked, reply, cost)
    if "gzip" in chosen:
        await response.write(gzip.compress(b"".join(events)))
        return response
    for count, event in enumerate(events):
        if "die" in chosen and count == chosen.number("die", 3):
            exchange.break_connection_softly()
            return response
        if "reset-in-stream" in chosen and count == chosen.number("reset-in-stream", 3):
            await exchange.reset_connection_after(response, b"".join(events[count:]))
            return response
        if "hold-in-stream" in chosen and count == chosen.number("hold-in-stream", 3):
            await exchange.record.released.wait()
        if "hang-in-stream" in chosen and count == chosen.number("hang-in-stream", 3):
            await asyncio.Event().wait()
        if "trickle" in chosen:
            await asyncio.sleep(chosen.number("trickle"))
        if "crlf" in chosen:
            event = event.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        for piece in [event[i : i + 1] for i in range(len(event))] if "bytewise" in chosen else [event]:
            await response.write(piece)
    if "cut-answer" in chosen:
        exchange.break_connection_softly()
    return response


def _events(exchange: _Exchange, asked: Asked, reply: Reply, cost: float | None) -> list[bytes]:
    chosen, side = exchange.behaviour, exchange.side
    found: list[bytes] = side.events(asked, reply, cost)
    failure = side.error_event(exchange.words("the fake upstream is overloaded"))
    if "error-first-event" in chosen:
        return [failure]
    if "role-then-error" in chosen:
        return [found[0], failure] if side is not gemini_side else [failure]
    if "error-event" in chosen:
        return [*found[: int(chosen.number("error-event", 3))], failure]
    if "invalid-json" in chosen:
        return [*found[: int(chosen.number("invalid-json", 1))], b'data: {"choices": [{"delta"\n\n']
    if "cut-answer" in chosen:
        return [*found[:3], found[3][: len(found[3]) // 2]]
    endless = "no-end" in chosen or "reset-in-stream" in chosen
    if side is gemini_side:
        # Its end is the finish in the last piece.
        return found if endless else [*found, *gemini_side.last(asked, reply)]
    return found if endless else [*found, *side.end()]


async def _models(exchange: _Exchange) -> web.StreamResponse:
    if "x-goog-api-key" in exchange.entry["headers"]:
        return await _gemini_models(exchange)
    if exchange.side is anthropic_side:
        models: list[dict[str, Any]] = [
            {"type": "model", "id": name, "display_name": name.title(), "created_at": "2025-01-01T00:00:00Z"}
            for name in MODELS
        ]
        after = exchange.request.query.get("after_id")
        start = MODELS.index(after) + 1 if after else 0
        page = models[start : start + 2]
        return web.json_response(
            {"data": page, "has_more": start + 2 < len(models), "first_id": page[0]["id"], "last_id": page[-1]["id"]}
        )
    models = [
        {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "fake", "context_length": 8192}
        for name in MODELS
    ]
    return web.json_response({"object": "list", "data": models})


async def _gemini_models(exchange: _Exchange) -> web.StreamResponse:
    start = int(exchange.request.query.get("pageToken") or 0)
    models = [
        {"name": f"models/{name}", "displayName": name.title(), "inputTokenLimit": 8192, "outputTokenLimit": 1024}
        for name in MODELS
    ]
    body: dict[str, Any] = {"models": models[start : start + 2]}
    if start + 2 < len(models):
        body["nextPageToken"] = str(start + 2)
    return web.json_response(body)


async def _embeddings(exchange: _Exchange) -> web.StreamResponse:
    body = json.loads(exchange.entry["body"])
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    vectors = [embedding(text, body.get("dimensions")) for text in inputs]
    data = [
        {"object": "embedding", "index": n, "embedding": _encoded(vector, body)} for n, vector in enumerate(vectors)
    ]
    counted = {"prompt_tokens": sum(len(text.split()) for text in inputs), "total_tokens": 0}
    answer: dict[str, Any] = {"object": "list", "data": data[::-1], "model": body["model"]}
    return web.json_response(answer if "usage-missing" in exchange.behaviour else {**answer, "usage": counted})


def _encoded(vector: list[float], body: dict[str, Any]) -> list[float] | str:
    if body.get("encoding_format") != "base64":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


async def _count_tokens(exchange: _Exchange) -> web.StreamResponse:
    body = json.loads(exchange.entry["body"])
    return web.json_response({"input_tokens": anthropic_side.read(body).words})
