"""POST /api/route executes a prompt at the best model; POST /api/routing/test shows the plan alone."""

import hashlib
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
from instance_agent.execution.same_request import SameRequests
from instance_agent.gateway.api_requests import ANSWER_PREFIX, api_handler, json_answer, json_object
from instance_agent.gateway.bodies import read_apart
from instance_agent.gateway.context import RequestContext, context_of
from instance_agent.gateway.errors import GatewayError
from instance_agent.gateway.parts import KEY, GatewayParts
from instance_agent.gateway.pipeline import call_headers, execution_of, route, usd
from instance_agent.gateway.route_requests import RouteRequest, read_route_request
from instance_agent.providers.numbers import token_count
from instance_agent.providers.wire import decode
from instance_agent.routing.constraints import RELAXATIONS
from instance_agent.routing.plan import Plan

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


class _Routed(Struct, frozen=True):
    """An answer that another request with the same id gets, too."""

    body: bytes
    headers: Mapping[str, str]
    model: str | None
    provider: str | None


class RoutingApi:
    """The handlers of requests to route."""

    def __init__(self) -> None:
        self._same: SameRequests[_Routed] = SameRequests(clock=time.monotonic, size_of=lambda routed: len(routed.body))

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/api/route", api_handler(self._route)),
            web.post("/api/routing/test", api_handler(self._test)),
        ]

    async def _route(self, request: web.Request) -> web.Response:
        context = context_of(request)
        context.operation = "route"
        principal = context.principal
        principal.require("user")
        asked = await _asked(request)
        _enter_workspace(context, asked)
        parts: GatewayParts = request.app[KEY]
        if asked.id is None:
            routed = await _execute(parts, context, asked, request.headers)
        else:
            # The same id is the same request for the key, whatever workspace it names.
            fingerprint = hashlib.sha256(_ENCODER.encode(asked.workspace) + await request.read()).digest()
            routed, _ = await self._same.run(
                f"key {principal.key_id or ''}",
                asked.id,
                fingerprint,
                lambda: _execute(parts, context, asked, request.headers),
            )
        context.model, context.provider = routed.model, routed.provider
        return web.Response(body=routed.body, headers=routed.headers)

    async def _test(self, request: web.Request) -> web.Response:
        context = context_of(request)
        context.principal.require("viewer")
        asked = await _asked(request, testing=True)
        _enter_workspace(context, asked)
        parts: GatewayParts = request.app[KEY]
        route(parts, context, asked.head, request.headers, metadata=asked.hints)
        plan = context.plan
        assert plan is not None
        return json_answer(_shown(plan, asked.id or context.request_id))


async def _asked(request: web.Request, *, testing: bool = False) -> RouteRequest:
    value = await json_object(request)
    return await read_apart(lambda _: read_route_request(value, testing=testing), await request.read())


async def _execute(
    parts: GatewayParts, context: RequestContext, asked: RouteRequest, headers: Mapping[str, str]
) -> _Routed:
    context.user_id = asked.user_id
    context.labels = asked.labels
    calls = route(parts, context, asked.head, headers, metadata=asked.hints)
    answer = await parts.executor.execute(calls, execution_of(context, OPENAI, asked.body, headers))
    sent = {"content-type": "application/json"}
    if answer.attempt is None:
        context.model, _, rest = answer.target.rpartition("@")
        context.provider = rest.partition("#")[0]
        sent["x-centralcloud-reason"] = "cache"
    else:
        sent |= call_headers(context, answer.attempt.call, answer.attempt.decision_id)
        if (nano := answer.attempt.cost.nano_usd) is not None:
            sent["x-centralcloud-cost-usd"] = usd(nano)
    body = {
        "id": f"{ANSWER_PREFIX}{context.request_id}",
        "requestId": asked.id or context.request_id,
        "modelId": context.model,
        "response": _text(answer),
        "usage": _usage(answer),
        "latency": max(1, round((time.perf_counter() - context.began) * 1000)),
        "status": "success",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return _Routed(_ENCODER.encode(body), sent, context.model, context.provider)


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


def _enter_workspace(context: RequestContext, asked: RouteRequest) -> None:
    """Let a request count for the workspace that it names; raise 403 where its key belongs to another one."""
    principal = context.principal
    if asked.workspace is None or asked.workspace == principal.workspace:
        return
    if principal.workspace is not None:
        raise GatewayError(
            f"workspaceId: found {quote(asked.workspace)}, expected the workspace of the key",
            status=403,
            code="forbidden",
        )
    context.principal = replace(principal, workspace=asked.workspace)


def _shown(plan: Plan, request_id: str) -> dict[str, Any]:
    """Return a plan with its reasons."""
    first, task = plan.first, plan.task
    return {
        "requestId": request_id,
        "modelId": first.target.model.name,
        "provider": first.target.model.provider,
        "rule": None,
        "kind": plan.kind,
        "reason": first.words,
        "propensity": plan.propensity,
        "method": plan.method,
        "task": {
            "type": task.task_type,
            "typeFrom": task.type_source,
            "level": task.level,
            "complexity": task.complexity,
            "levelFrom": task.level_source,
            "agentType": task.agent_type,
            "reasons": list(task.classification.reasons) if task.classification else [],
        },
        "targets": [
            {
                "target": planned.target.key,
                "modelId": planned.target.model.name,
                "provider": planned.target.model.provider,
                "code": planned.code,
                "reason": planned.words,
                "score": planned.ranked.score if planned.ranked else None,
                "scoreVersion": planned.score_version,
            }
            for planned in plan.targets
        ],
        "leftOut": [{"target": each.key, "code": each.code, "reason": each.words} for each in plan.struck],
        "relaxed": [{"code": code, "reason": RELAXATIONS[code]} for code in plan.relaxed],
        "alias": plan.alias,
        "configVersion": plan.config_version,
    }
