"""POST /api/route and /api/route/batch execute prompts at the best models; /api/routing/test and /select only plan."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from centralcloud.contracts.errors import quote
from instance_agent.chat.answers import Usage
from instance_agent.chat.protocols import OPENAI
from instance_agent.execution.cost import NANO
from instance_agent.execution.executor import Answer
from instance_agent.execution.plan_calls import plan_calls
from instance_agent.gateway.api.requests import ANSWER_PREFIX, api_handler, json_answer, json_object
from instance_agent.gateway.api.route_batches import beginning_with, read_batch, run_batch
from instance_agent.gateway.api.route_requests import RouteRequest, read_route_request
from instance_agent.gateway.api.select import select
from instance_agent.gateway.bodies import read_apart
from instance_agent.gateway.context import RequestContext, context_of
from instance_agent.gateway.errors import GatewayError
from instance_agent.gateway.parts import KEY, GatewayParts
from instance_agent.gateway.pipeline import answered, execution_of, route
from instance_agent.gateway.shared_answer import SharedAnswer
from instance_agent.gateway.whole_answers import once, shared
from instance_agent.providers.numbers import token_count
from instance_agent.providers.wire import decode
from instance_agent.routing.plan_json import plan_as_json

_ENCODER: Final = msgspec.json.Encoder()


class _Message(Struct):
    content: Any = None


class _Choice(Struct):
    message: _Message | None = None


class _Usage(Struct):
    prompt_tokens: Any = None
    completion_tokens: Any = None


class _Completion(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None


_COMPLETION: Final = msgspec.json.Decoder(_Completion)


class RoutingApi:
    """The handlers of requests to route."""

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/api/route", api_handler(self._route)),
            web.post("/api/route/batch", api_handler(self._batch)),
            web.post("/api/routing/test", api_handler(self._test)),
            web.post("/api/routing/select", api_handler(select)),
        ]

    async def _route(self, request: web.Request) -> web.Response:
        context = context_of(request)
        context.operation = "route"
        context.principal.require("user")
        asked = await _asked(request)
        return await _routed(request.app[KEY], context, asked, request.headers, await request.read())

    async def _batch(self, request: web.Request) -> web.Response:
        context = context_of(request)
        context.operation = "batch"
        context.principal.require("user")
        requests, most = read_batch(await json_object(request))
        parts: GatewayParts = request.app[KEY]

        def new_context() -> RequestContext:
            own = RequestContext(context.principal, context.state)
            own.operation, own.user_id, own.labels = "route", context.user_id, context.labels
            return own

        async def execute(
            own: RequestContext, asked: RouteRequest, headers: Mapping[str, str], model: str | None
        ) -> bytes:
            own.status = 500  # until it is answered
            try:
                answer = await _routed(parts, own, asked, headers, asked.body, model)
                own.status = answer.status
            finally:
                parts.admission.end(own)
            return bytes(answer.body)  # type: ignore[arg-type]

        outcomes = await run_batch(requests, most, request.headers, new_context, execute)
        failed = sum(each["status"] == "error" for each in outcomes)
        counts = {"total": len(outcomes), "succeeded": len(outcomes) - failed, "failed": failed}
        return json_answer({"batchId": context.request_id, "results": outcomes, **counts})

    async def _test(self, request: web.Request) -> web.Response:
        context = context_of(request)
        context.principal.require("viewer")
        asked = await _asked(request, testing=True)
        _enter_workspace(context, asked)
        parts: GatewayParts = request.app[KEY]
        kind = asked.labels.get("request_type")
        route(parts, context, asked.head, request.headers, metadata=asked.hints, request_type=kind)
        plan = context.plan
        assert plan is not None
        return json_answer(_with_setup(plan_as_json(plan, asked.id or context.request_id), context))


async def _asked(request: web.Request, *, testing: bool = False) -> RouteRequest:
    value = await json_object(request)
    return await read_apart(lambda _: read_route_request(value, testing=testing), await request.read())


async def _routed(
    parts: GatewayParts,
    context: RequestContext,
    asked: RouteRequest,
    headers: Mapping[str, str],
    body: bytes,
    model: str | None = None,
) -> web.Response:
    """Return the answer to a request.

    Args:
        body: that another request of the same id has to have.
        model: to begin with, where the plan has it.
    """
    _enter_workspace(context, asked, acting=True)
    await parts.admission.admit(context, asked.head)
    # The same id is the same request for the key, whatever workspace it names.
    fingerprint = (_ENCODER.encode((asked.workspace, context.principal.workspace)), body)
    return await once(
        parts, context, "route", asked.id, fingerprint, lambda: _execute(parts, context, asked, headers, model)
    )


async def _execute(
    parts: GatewayParts,
    context: RequestContext,
    asked: RouteRequest,
    headers: Mapping[str, str],
    model: str | None = None,
) -> SharedAnswer:
    context.user_id = context.principal.user_id or asked.user_id
    context.labels = {**context.labels, **asked.labels} if context.labels else asked.labels
    kind = asked.labels.get("request_type")
    calls = route(parts, context, asked.head, headers, metadata=asked.hints, request_type=kind)
    if model is not None and context.plan is not None:
        context.plan = beginning_with(context.plan, model)
        calls = plan_calls(context.plan, context.state.targets)
    answer = await answered(parts, calls, execution_of(context, OPENAI, asked.body, headers))
    routed = shared(context, answer, b"")
    body = {
        "id": f"{ANSWER_PREFIX}{routed.request_id}",
        "requestId": asked.id or routed.request_id,
        "modelId": routed.model,
        "response": _text(answer),
        "usage": _usage(answer),
        "latency": max(1, round((time.perf_counter() - context.began) * 1000)),
        "status": "success",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return replace(routed, body=_ENCODER.encode(body))


def _text(answer: Answer) -> str:
    """Return the text of an answer, read along the way; of one from the cache, as far as it can be read."""
    if answer.answer is not None:
        return answer.answer.text
    choices = _completion(answer).choices
    content = choices[0].message.content if choices and choices[0].message else None
    if isinstance(content, list):  # parts, which some services send
        content = "".join(
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return content if isinstance(content, str) else ""


def _completion(answer: Answer) -> _Completion:
    """Read an answer of the cache, as far as it can be read: it was read before it was kept."""
    try:
        return decode(_COMPLETION, answer.body)
    except ValueError:
        return _Completion()


def _usage(answer: Answer) -> dict[str, Any]:
    """Return tokens and cost in USD; null where they are not known, never 0 for that."""
    attempt = answer.attempt
    cost: float | None = 0.0
    if attempt is not None:
        used = attempt.usage or Usage()
        read, written = used.input_tokens, used.output_tokens
        nano = attempt.cost.nano_usd
        cost = None if nano is None else nano / NANO
    else:  # from the cache, which costs nothing
        reported = _completion(answer).usage or _Usage()
        read, written = token_count(reported.prompt_tokens), token_count(reported.completion_tokens)
    usage = {
        "promptTokens": read,
        "completionTokens": written,
        "totalTokens": None if read is None or written is None else read + written,
        "cost": cost,
    }
    return {**usage, "estimated": True} if attempt is not None and attempt.usage_estimated else usage


def _with_setup(shown: dict[str, Any], context: RequestContext) -> dict[str, Any]:
    """Return a plan as JSON; for operators with the problems of the gateway's own setup in full."""
    configuration = context.state.catalog.configuration
    if configuration is not None and context.principal.may("operator"):
        for each in shown["leftOut"]:
            if each["code"] == "provider_unavailable":
                each["reason"] = configuration.problem_of(each["target"]) or each["reason"]
    return shown


def _enter_workspace(context: RequestContext, asked: RouteRequest, *, acting: bool = False) -> None:
    """Let a request count for the workspace that it names; raise 403 where its key may not act for it.

    Args:
        acting: whether the request calls a model, and may get an answer of the workspace's cache.
    """
    principal = context.principal
    if asked.workspace is None or asked.workspace == principal.workspace:
        return
    if principal.workspace is not None:
        raise GatewayError(
            f"workspaceId: found {quote(asked.workspace)}, expected the workspace of the key",
            status=403,
            code="forbidden",
        )
    if acting and not principal.may("operator"):
        raise GatewayError(
            f"workspaceId: found {quote(asked.workspace)} and a key without a workspace, expected a key of this workspace, "
            "or one with the role operator",
            status=403,
            code="forbidden",
        )
    context.principal = replace(principal, workspace=asked.workspace)
