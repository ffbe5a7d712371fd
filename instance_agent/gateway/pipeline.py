"""The way of one request of a model: hints -> plan -> calls -> answer or stream, with the headers that explain it."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from aiohttp import HttpVersion11, web
from msgspec.structs import replace

from centralcloud.contracts.errors import quote as quoted
from centralcloud.contracts.limits import MAX_NAME_LENGTH
from centralcloud.contracts.text import read_name
from instance_agent.catalog.model import ModelType
from instance_agent.chat.errors import ChatError
from instance_agent.chat.protocol import ClientProtocol, RequestHead
from instance_agent.execution.attempts import Attempt
from instance_agent.execution.cost import NANO
from instance_agent.execution.errors import PaymentRefusedError
from instance_agent.execution.executor import Answer
from instance_agent.execution.plan_calls import plan_calls
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.request import ExecutionRequest
from instance_agent.execution.streamed_answer import StreamedAnswer
from instance_agent.gateway.context import RequestContext
from instance_agent.gateway.errors import GatewayError
from instance_agent.gateway.exchange import allow_origin, ended_by_stop, vendor_header
from instance_agent.gateway.limits.admission import executed
from instance_agent.gateway.limits.policy_limits import cache_seconds, cut_off_is_failure, is_compared, limited
from instance_agent.gateway.parts import GatewayParts
from instance_agent.gateway.request_labels import label_request
from instance_agent.gateway.request_log import log_crash, log_plan
from instance_agent.routing.affinity import session_key
from instance_agent.routing.plan import PlanError
from instance_agent.routing.request import RoutingRequest
from instance_agent.routing.spend import NO_SPEND
from instance_agent.routing.task import (
    estimate_tokens,
    hints_from_headers,
    hints_from_metadata,
    request_type_from_metadata,
    tags_from,
)

_ENCODER: Final = msgspec.json.Encoder()
_DONE: Final = b"data: [DONE]\n\n"
_CUT_SECONDS: Final = 1.0
_LONGEST_SESSION: Final = 512
_LONGEST_LOSSES: Final = 1000
#: ASCII that can be printed.
_SAFE: Final = "".join(map(chr, range(32, 127))).replace("%", "")
_AGE: Final = re.compile(r"(\d{1,7})\s*([smhd])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_FEEDBACK: Final = 7 * 86_400

T = TypeVar("T")


def route(
    parts: GatewayParts,
    context: RequestContext,
    head: RequestHead,
    headers: Mapping[str, str],
    *,
    metadata: Mapping[str, Any] | None = None,
    model_type: ModelType = "chat",
    request_type: str | None = None,
) -> Sequence[PlannedCall]:
    """Plan a request; return the calls of its plan in their order.

    Args:
        headers: of the client; finds lower-case names.
        metadata: hints of the body, which have to be valid; None: those of `head`, whose metadata may mean something else.
        request_type: as the client says; None: that of its metadata, else `model_type`.

    Raises:
        RoutingError: a hint is not valid, the model is not known, or no target can be used.
        ExecutionError: no target can be called.
        PaymentRefusedError: a budget is used up, and no model may answer.
    """
    context.head = head
    own = head.metadata if metadata is None else metadata
    label_request(context, head, headers, own, store_objective=parts.settings.store_objective)
    name = read_name(head.model, MAX_NAME_LENGTH)
    if name is None:
        raise PlanError(
            "model_not_found", "model: found a name that no model can have, expected auto or a model's name"
        )
    routing = context.routing = RoutingRequest(
        model=name,
        headers=hints_from_headers(headers),
        metadata=hints_from_metadata(head.metadata if metadata is None else metadata, strict=metadata is not None),
        text=head.text,
        needs=needs_of(head),
        # Documents have most bytes, and few of them are text.
        input_tokens=estimate_tokens(head.characters + (0 if head.inputs else head.unread), head.images),
        output_tokens=head.max_output_tokens or 0,
        choices=head.choices,
        model_type=model_type,
        session=_session(context, headers.get("x-centralcloud-session")),
        id=context.request_id,
        workspace=context.principal.workspace,
        request_type=request_type or request_type_from_metadata(own) or model_type,
        tags=tags_from(headers, own, strict=metadata is not None),
        characters=head.characters,
        at=time.time(),
    )
    if context.operation != "count_tokens":  # which costs nothing
        spend = parts.admission.view(context)
        if spend is not NO_SPEND:
            context.routing = replace(routing, spend=spend)
    context.feedback_seconds = _feedback_seconds(headers.get("x-centralcloud-feedback"))
    context.probing = parts.admission.exploration.allowed
    return planned(parts, context)


def planned(parts: GatewayParts, context: RequestContext) -> Sequence[PlannedCall]:
    """Plan the request of a context, which has its routing. Raises as `route`."""
    state, routing = context.state, context.routing
    assert routing is not None
    health = parts.health.view(state.targets, parts.clock())
    plan = context.plan = parts.planner.plan(
        routing,
        state.catalog,
        health,
        state.rules,
        parts.local_failures,
        probing=context.probing,
        treating=not parts.daemon_silent(),
        classifier=state.classifier,
    )
    first = plan.first.target.model
    context.model, context.provider = first.name, first.provider
    log_plan(context)
    return plan_calls(plan, state.targets)


def needs_of(head: RequestHead) -> tuple[str, ...]:
    """Return the capabilities that the content of a request needs, sorted."""
    needs = []
    if head.tools:
        needs.append("function_calling")
    if head.response_format == "json_schema":
        needs.append("json_schema")
    if head.images:
        needs.append("vision")
    return tuple(sorted((*needs, *head.inputs))) if head.inputs else tuple(needs)


def execution_of(
    context: RequestContext, protocol: ClientProtocol, body: bytes, headers: Mapping[str, str], **options: Any
) -> ExecutionRequest:
    """Return what the executor needs of a request; `route` comes before. The policy's limits are in its body."""
    body = limited(context, body, protocol, options.get("operation", "chat"))
    return ExecutionRequest(**execution_fields(context, protocol, body, headers), **options)


def execution_fields(
    context: RequestContext, protocol: ClientProtocol, body: bytes, headers: Mapping[str, str]
) -> dict[str, Any]:
    """Return the fields that each kind of request has for the executor; `route` comes before."""
    assert context.head is not None
    return {
        "request_id": context.request_id,
        "protocol": protocol,
        "head": context.head,
        "body": body,
        "headers": headers,
        "tenant": context.principal.tenant,
        "context": context,
        "cache_seconds": cache_seconds(context),
        "cut_off_is_failure": cut_off_is_failure(context),
        "is_compared": is_compared(context),
    }


class _EventStream(web.StreamResponse):
    """A stream whose headers are sent with its first bytes, which are there: one call of the system, and one packet."""

    _send_headers_immediately = False  # as aiohttp does it for a whole answer


async def answered(parts: GatewayParts, calls: Sequence[PlannedCall], execution: ExecutionRequest) -> Answer:
    """Execute a request within its limits, and return its whole answer. Raises as the executor."""
    return await _executed(parts, calls, execution, parts.executor.execute)


async def _executed(
    parts: GatewayParts,
    calls: Sequence[PlannedCall],
    execution: ExecutionRequest,
    run: Callable[[Sequence[PlannedCall], ExecutionRequest], Awaitable[T]],
) -> T:
    context: RequestContext = execution.context
    try:
        return await executed(parts.admission, context, calls, execution, run, lambda: planned(parts, context))
    except PaymentRefusedError as error:
        parts.executor.unserved(calls, execution, error)
        raise


async def streamed_response(
    parts: GatewayParts, calls: Sequence[PlannedCall], execution: ExecutionRequest, request: web.Request
) -> web.StreamResponse:
    """Execute a request, and stream the answer to its client. Its last comment has the cost."""
    context: RequestContext = execution.context
    async with await _executed(parts, calls, execution, parts.executor.stream) as stream:
        response = _event_stream(parts, stream, context, request)
        try:
            await response.prepare(request)
            await _write(stream, response, context)
        except ConnectionError:
            return response  # the client has gone; leaving the stream reports it
        except asyncio.CancelledError:
            if not parts.cutting or request.transport is None or request.transport.is_closing():
                raise
            await _cut(response, execution, ended_by_stop(parts, context))
        except Exception as error:
            if not response.prepared:
                raise
            # Its status is sent: only a connection that breaks says that the answer is not whole.
            log_crash(context.request_id, request.method, error)
            if request.transport is not None:
                request.transport.abort()
    return response


def _event_stream(
    parts: GatewayParts, stream: StreamedAnswer, context: RequestContext, request: web.Request
) -> web.StreamResponse:
    """Return the response of a stream, with its headers."""
    response = _EventStream(
        headers={
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            "x-accel-buffering": "no",
            "server": "instance-agent",
            "x-centralcloud-request-id": context.request_id,
            vendor_header(request.path): context.request_id,
        }
    )
    if (call := stream.call) is not None:  # none yet where a keep-alive comment comes before the first token
        response.headers.extend(call_headers(context, call, stream.decision_id))
    if stream.losses:
        response.headers["x-centralcloud-losses"] = shown_losses(stream.losses)
    allow_origin(request, response.headers, parts.origins)
    if (
        parts.draining or request.version < HttpVersion11
    ):  # without chunks, only the end of the connection ends the body
        response.force_close()
    return response


def call_headers(context: RequestContext, call: PlannedCall, decision_id: str | None) -> dict[str, str]:
    """Return the headers that say which target answers, and why."""
    model = call.target.model
    context.model, context.provider = model.name, model.provider
    headers = {
        "x-centralcloud-model": header_text(model.name),
        "x-centralcloud-provider": header_text(model.provider),
        "x-centralcloud-reason": call.reason,
    }
    if context.plan is not None and (arm := context.plan.assigned) is not None:
        headers["x-centralcloud-experiment"] = header_text(arm.experiment)
        headers["x-centralcloud-arm"] = header_text(arm.name)
    if decision_id is not None:
        headers["x-centralcloud-decision-id"] = decision_id
    if call.score_version is not None:
        headers["x-centralcloud-score-version"] = str(call.score_version)
    return headers


def usd(nano: int) -> str:
    """Return nano-USD in USD, exactly: 15,000 is 0.000015."""
    whole, fraction = divmod(nano, NANO)
    return f"{whole}.{fraction:09d}".rstrip("0").rstrip(".")


async def _write(stream: StreamedAnswer, response: web.StreamResponse, context: RequestContext) -> None:
    """Write the bytes of a stream, with its comment before the end; the last ones and the end of the body together."""
    commented = False
    while piece := await stream.read():
        attempt = stream.attempt
        if attempt is not None and not commented:
            commented = True
            comment = _comment(context, attempt)
            # A client reads no further than to the end of its protocol.
            piece = piece[: -len(_DONE)] + comment + _DONE if piece.endswith(_DONE) else piece + comment
        if commented and stream.finished:
            await response.write_eof(piece)
            return
        await response.write(piece)
    await response.write_eof()


def _comment(context: RequestContext, attempt: Attempt) -> bytes:
    """Return the comment that a stream ends with: what the headers of a whole answer say."""
    model = attempt.call.target.model
    context.model, context.provider = model.name, model.provider
    nano = attempt.cost.nano_usd
    found = {
        "request_id": context.request_id,
        "decision_id": attempt.decision_id,
        "model": model.name,
        "provider": model.provider,
        "reason": attempt.call.reason,
        "cost_usd": None if nano is None else usd(nano),
        "cost_estimated": attempt.cost.estimated or None,
        "score_version": attempt.call.score_version,
        "experiment": context.plan.experiment if context.plan is not None else None,
        "arm": context.plan.arm if context.plan is not None else None,
    }
    return (
        b": centralcloud "
        + _ENCODER.encode({name: value for name, value in found.items() if value is not None})
        + b"\n\n"
    )


async def _cut(response: web.StreamResponse, execution: ExecutionRequest, error: GatewayError) -> None:
    """End a stream because the gateway stops: with an error event, and without the proper end."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
    try:
        async with asyncio.timeout(_CUT_SECONDS):
            await response.write(execution.stream_error(error))
            await response.write_eof()
    except (ConnectionError, TimeoutError):
        return


def header_text(name: str) -> str:
    """Return a name as a header may have it: percent-encoded where it is not ASCII."""
    return name if name.isascii() else quote(name, safe=_SAFE)


def shown_losses(losses: Sequence[str]) -> str:
    """Return the names of fields that were left out; some are the client's own words."""
    return quote("; ".join(losses), safe=_SAFE)[:_LONGEST_LOSSES]


def _session(context: RequestContext, text: str | None) -> str | None:
    if not text:
        return None
    if len(text) > _LONGEST_SESSION:
        raise _invalid("x-centralcloud-session", text, f"at most {_LONGEST_SESSION} characters")
    return session_key(context.principal.workspace or "", text)


def _feedback_seconds(text: str | None) -> float | None:
    """Return how long the outcome waits for feedback: 90s, 10m, 12h, 7d."""
    if not text:
        return None
    match = _AGE.fullmatch(text.strip().lower())
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < seconds <= _LONGEST_FEEDBACK:
        raise _invalid("x-centralcloud-feedback", text, "a time of at most 7 days, such as 90s, 10m or 12h")
    return float(seconds)


def _invalid(header: str, text: str, expected: str) -> ChatError:
    return GatewayError(
        f"header {header}: found {quoted(text)}, expected {expected}", status=400, code="invalid_request"
    )
