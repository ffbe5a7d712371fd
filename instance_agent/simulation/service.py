"""The HTTP service of the simulated providers: OpenAI's and Anthropic's protocols, and the control of the simulation.

It listens on loopback only. Each provider has a path: ``/atlas-cloud/v1/chat/completions``. The control:

- ``GET /simulation``: the hidden truth, and counts.
- ``POST /simulation/models/NAME``: `success_rate` (0 to 1, with `complexity` for one alone), `latency_factor`.
- ``POST /simulation/providers/NAME``: `error_rate`, `hang_rate` (0 to 1), `requests_per_second`.
- ``POST /simulation/reset``: everything as at the start.
"""

import asyncio
import json
import time
from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from centralcloud.contracts import COMPLEXITIES
from centralcloud.contracts.task_classifier import classify
from centralcloud.runtime.logs import get_logger
from instance_agent.chat.answers import (
    ChatAnswer,
    Completed,
    Finished,
    Started,
    StreamEvent,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    UsageReported,
)
from instance_agent.chat.errors import ChatError
from instance_agent.chat.messages import TextPart
from instance_agent.chat.protocol import ClientProtocol, RequestHead
from instance_agent.chat.protocols import ANTHROPIC, OPENAI
from instance_agent.simulation.answers import answer_to
from instance_agent.simulation.behaviour import Behaviour, Draw
from instance_agent.simulation.world import Share

log = get_logger(__name__)
_MAX_BODY: Final = 32 * 1024 * 1024
#: Pieces of a stream; a long text has more words in each.
_PIECES: Final = 40
_LOCAL_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")


class ModelChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of a model."""

    complexity: Literal["simple", "medium", "complex"] | None = None
    success_rate: Share | None = None
    latency_factor: Annotated[float, Meta(gt=0, le=1000)] | None = None


class ProviderChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of a provider."""

    error_rate: Share | None = None
    hang_rate: Share | None = None
    requests_per_second: Annotated[float, Meta(gt=0)] | None = None


class SimulationService:
    """The routes over one `Behaviour`."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour

    def application(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=_MAX_BODY)
        app.add_routes(
            [
                web.post("/{provider}/v1/chat/completions", self._openai),
                web.post("/{provider}/v1/messages", self._anthropic),
                web.get("/{provider}/v1/models", self._list_models),
                web.get("/simulation", self._show),
                web.post("/simulation/models/{name}", self._change_model),
                web.post("/simulation/providers/{name}", self._change_provider),
                web.post("/simulation/reset", self._reset),
            ]
        )
        return app

    async def _openai(self, request: web.Request) -> web.StreamResponse:
        return await self._chat(request, OPENAI)

    async def _anthropic(self, request: web.Request) -> web.StreamResponse:
        return await self._chat(request, ANTHROPIC)

    async def _chat(self, request: web.Request, protocol: ClientProtocol) -> web.StreamResponse:
        body = await request.read()
        try:
            head = protocol.read_head(body)
            asked = protocol.read_request(body)
        except ChatError as error:
            return _error(protocol, error)
        provider = request.match_info["provider"]
        if not self._behaviour.has(provider, head.model):
            message = f"found the model {head.model!r}, expected one of {provider}"
            return _error(protocol, ChatError(message, error_kind="caller", status=404, code="model_not_found"))
        draw = self._behaviour.draw(head.model, true_complexity(head), time.monotonic())
        if draw.fault is not None:
            return await _fail(protocol, draw)
        answer = answer_to(head, asked, head.model, number=draw.number, right=draw.right, tokens=draw.tokens)
        if not head.stream:
            await asyncio.sleep(draw.total_seconds)
            written = protocol.write_answer(answer, created=int(time.time()))
            return web.Response(body=written, content_type="application/json")
        return await _stream(request, protocol, head, answer, draw)

    async def _list_models(self, request: web.Request) -> web.Response:
        provider = request.match_info["provider"]
        names = [each.name for each in self._behaviour.world.models if each.provider == provider]
        data = [{"id": name, "object": "model", "created": 0, "owned_by": provider} for name in names]
        return _json({"object": "list", "data": data})

    async def _show(self, request: web.Request) -> web.Response:
        if (refused := _refused(request)) is not None:
            return refused
        return _json(self._behaviour.state())

    async def _change_model(self, request: web.Request) -> web.Response:
        return await self._change(request, ModelChange, self._behaviour.change_model)

    async def _change_provider(self, request: web.Request) -> web.Response:
        return await self._change(request, ProviderChange, self._behaviour.change_provider)

    async def _change(self, request: web.Request, form: type[Struct], change: Any) -> web.Response:
        if (refused := _refused(request)) is not None:
            return refused
        name = request.match_info["name"]
        try:
            asked = msgspec.json.decode(await request.read(), type=form)
            change(name, **msgspec.structs.asdict(asked))
        except msgspec.DecodeError as error:
            return _json({"error": f"the body: {error}"}, status=400)
        except KeyError:
            return _json({"error": f"found {name!r}, expected a name of GET /simulation"}, status=404)
        # At debug: the change is meant to be silent.
        log.debug("simulation_changed", name=name)
        return _json(self._behaviour.state())

    async def _reset(self, request: web.Request) -> web.Response:
        if (refused := _refused(request)) is not None:
            return refused
        self._behaviour.reset()
        return _json(self._behaviour.state())


def true_complexity(head: RequestHead) -> str:
    """Return the true complexity of a task: the caller's in the metadata, where that arrives, else the classifier's."""
    named = head.metadata.get("complexity")
    return named if named in COMPLEXITIES else classify(head.text).level


def _json(value: Any, status: int = 200) -> web.Response:
    """Return JSON with a newline at its end, for people who call with curl."""
    return web.json_response(text=f"{json.dumps(value)}\n", status=status)


def _refused(request: web.Request) -> web.Response | None:
    """Refuse requests of web pages: a name that a page has pointed at this machine, or a form that a browser sends."""
    host = request.host.rpartition(":")[0] if ":" in request.host else request.host
    if host not in _LOCAL_NAMES:
        return _json({"error": "expected an address of this machine in the header Host"}, status=403)
    if request.method == "POST" and request.content_type != "application/json":
        return _json({"error": "expected content-type: application/json"}, status=415)
    return None


def _error(protocol: ClientProtocol, error: ChatError, headers: dict[str, str] | None = None) -> web.Response:
    body = protocol.write_error(error)
    return web.Response(status=error.status, body=body, content_type="application/json", headers=headers)


async def _fail(protocol: ClientProtocol, draw: Draw) -> web.Response:
    if draw.fault == "rate_limited":
        error = ChatError("too many requests (simulated)", error_kind="provider", status=429)
        return _error(protocol, error, {"retry-after": f"{draw.retry_after:.3f}"})
    if draw.fault == "hang":
        await asyncio.Event().wait()  # ended by the client's time limit, or by the end of the service
    return _error(protocol, ChatError("overloaded (simulated)", error_kind="provider", status=503))


async def _stream(
    request: web.Request, protocol: ClientProtocol, head: RequestHead, answer: ChatAnswer, draw: Draw
) -> web.StreamResponse:
    writer = protocol.stream_writer(include_usage=head.include_usage, created=int(time.time()))
    response = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-cache"})
    loop = asyncio.get_running_loop()
    began = loop.time()
    await response.prepare(request)
    pieces = _pieces(answer)
    await response.write(writer.write(Started(id=answer.id, model=answer.model, usage=answer.usage)))
    rest = draw.total_seconds - draw.first_token_seconds
    for place, event in enumerate(pieces):
        due = began + draw.first_token_seconds + rest * place / max(1, len(pieces))
        await asyncio.sleep(max(0.0, due - loop.time()))
        await response.write(writer.write(event))
    await asyncio.sleep(max(0.0, began + draw.total_seconds - loop.time()))
    ending: list[StreamEvent] = [Finished(answer.finish)]
    if answer.usage is not None:
        ending.append(UsageReported(answer.usage))
    await response.write(b"".join(writer.write(each) for each in (*ending, Completed())))
    await response.write_eof()
    return response


def _pieces(answer: ChatAnswer) -> list[StreamEvent]:
    events: list[StreamEvent] = []
    for index, call in enumerate(answer.tool_calls):
        events.append(ToolCallStarted(index=index, id=call.id, name=call.name))
        events += [ToolArgumentsDelta(index=index, text=each) for each in _cut(call.arguments)]
    for part in answer.parts:
        if isinstance(part, TextPart):
            events += [TextDelta(each) for each in _cut(part.text)]
    return events


def _cut(text: str) -> list[str]:
    size = max(4, -(-len(text) // _PIECES))
    return [text[start : start + size] for start in range(0, len(text), size)]
