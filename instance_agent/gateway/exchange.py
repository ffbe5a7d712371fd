"""The way of every request through the gateway: its principal, its body within the limits, its handler, its errors.

A request without a valid key is refused before its body is read.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import HttpVersion11, web

from centralcloud.runtime.http.connections import Connections
from instance_agent.chat.errors import ChatError
from instance_agent.chat.json_body import LARGE_BODY_BYTES
from instance_agent.gateway.auth import ANONYMOUS, Principal, no_valid_key, principal_of
from instance_agent.gateway.bodies import body_limit, check_elements
from instance_agent.gateway.context import KEY, RequestContext
from instance_agent.gateway.errors import GatewayError, error_response, form_of, of_routing
from instance_agent.gateway.parts import GatewayParts
from instance_agent.gateway.request_log import EndedRequests, log_crash
from instance_agent.gateway.unknown_paths import unknown_path
from instance_agent.routing.errors import RoutingError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: GET and HEAD of these need no key, and their bodies are not read: probes, a page without data, and metrics, whose
#: handler checks for itself.
_OPEN: Final = frozenset({"/health", "/health/ready", "/health/detailed", "/metrics", "/docs"})
#: The path of the route that takes requests for no other one.
ANYWHERE: Final = "/{anywhere}"
_CORS_HEADERS: Final = (
    "authorization, content-type, x-api-key, anthropic-version, anthropic-beta, idempotency-key, "
    "x-centralcloud-complexity, x-centralcloud-task-type, x-centralcloud-agent-type, x-centralcloud-prefer, "
    "x-centralcloud-capabilities, x-centralcloud-session, x-centralcloud-feedback"
)
_CORS_EXPOSED: Final = (
    "x-centralcloud-request-id, x-centralcloud-decision-id, x-centralcloud-model, x-centralcloud-provider, "
    "x-centralcloud-reason, x-centralcloud-cost-usd, x-centralcloud-score-version, x-centralcloud-losses, "
    "x-centralcloud-estimated, x-centralcloud-config-version, x-request-id, request-id, retry-after, retry-after-ms, "
    "x-should-retry, location"
)
_HEADER_NAMES: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,4000}")
#: When a client may try again whose key cannot be checked.
_KEYS_SECONDS: Final = 1.0
DRAINING: Final = "the gateway is stopping, and takes no new requests; expected another replica"


def exchange_of(parts: GatewayParts, connections: Connections) -> Any:
    """Create the only middleware of the gateway."""
    ended = EndedRequests(parts.metrics)

    @web.middleware
    async def exchange(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = connections.of(request.protocol)
        if connection is None:  # the client is gone already
            return web.Response(status=400)
        context = RequestContext(ANONYMOUS, parts.state)
        request[KEY] = context
        task = asyncio.current_task()
        assert task is not None
        is_open = request.path in _OPEN and request.method in ("GET", "HEAD")
        if not is_open:
            parts.enter(task)
        try:
            if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
                response: web.StreamResponse = web.Response(status=204)
            else:
                response = await _answer(parts, context, request, handler, connection.answering, is_open=is_open)
            context.status = response.status
            if not response.prepared:
                await parts.records.handed_over()
                headers = response.headers
                headers["Server"] = "instance-agent"
                headers["x-centralcloud-request-id"] = headers[vendor_header(request.path)] = context.request_id
                allow_origin(request, headers, parts.origins)
                if parts.draining or (is_open and request.can_read_body):
                    response.force_close()
                try:
                    await response.prepare(request)
                    await response.write_eof()
                except ConnectionError:
                    pass  # the client is gone, which its connection logs
            connection.answered(keep_alive=bool(response.keep_alive))
            return response
        except asyncio.CancelledError:
            context.status = 499  # as proxies log a client that has gone
            raise
        finally:
            if context.rate is not None:
                parts.admission.end(context)
            if not is_open:
                parts.leave(task)
                resource = request.match_info.route.resource
                path = resource.canonical if resource else ANYWHERE
                if path == ANYWHERE:
                    ended.add(context, request.method, "(unknown)", request.path)
                else:
                    ended.add(context, request.method, path)

    return exchange


def vendor_header(path: str) -> str:
    """Return the header in which the vendor's client looks for the id of a request."""
    return "request-id" if path.startswith("/v1/messages") else "x-request-id"


def allow_origin(request: web.Request, headers: Any, origins: frozenset[str]) -> None:
    """Add the headers that let a web page of an allowed origin read an answer. None by default."""
    if not origins or (origin := request.headers.get("origin")) is None:
        return
    if origin not in origins and "*" not in origins:
        return
    headers["access-control-allow-origin"] = origin
    headers["vary"] = "origin, access-control-request-headers"
    headers["access-control-expose-headers"] = _CORS_EXPOSED
    if request.method == "OPTIONS":
        headers["access-control-allow-methods"] = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
        # The vendors' clients send headers of their own, with new ones in each version: the list of pages is the limit.
        asked = request.headers.get("access-control-request-headers", "")
        headers["access-control-allow-headers"] = asked if _HEADER_NAMES.fullmatch(asked) else _CORS_HEADERS
        headers["access-control-max-age"] = "600"


async def _answer(
    parts: GatewayParts,
    context: RequestContext,
    request: web.Request,
    handler: Handler,
    arrived: Callable[[], None],
    *,
    is_open: bool,
) -> web.StreamResponse:
    """Run the handler; every error of it is an answer in the form of the path."""
    try:
        if request.version > HttpVersion11:
            _refuse_version(request)
        if not is_open:
            if parts.draining:
                raise GatewayError(DRAINING, status=503, code="stopping", closes=True)
            if parts.outside is not None:
                await parts.outside.prepare(request)
            context.principal = principal = authenticated(parts, request)
            context.user_id = principal.user_id
            await _read(request)
        arrived()
        if parts.hooks is not None and parts.hooks.concern(request, context):
            return await parts.hooks.run(request, context, handler)
        return await handler(request)
    except ChatError as error:
        found = error
    except RoutingError as error:
        configuration = context.state.catalog.configuration
        shown = configuration is not None and context.principal.may("operator")
        found = of_routing(error, configuration.problem_of) if configuration and shown else of_routing(error)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        found = GatewayError(
            f"found the method {error.method}, expected {allowed}", status=405, code="method_not_allowed"
        )
    except web.HTTPNotFound:
        found = not_found(request)
    except web.HTTPException as error:
        found = GatewayError(error.reason, status=error.status)
    except asyncio.CancelledError:
        if not parts.cutting or request.transport is None or request.transport.is_closing():
            raise
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        found = ended_by_stop(parts, context)
    except Exception as error:  # noqa: BLE001 - logged, and answered with 500
        log_crash(context.request_id, request.method, error)
        found = GatewayError("internal error; the log has the details", status=500, code="internal_error")
    if not context.operation:
        parts.metrics.refused(found.status)
    response = error_response(found, form_of(request.path), context.request_id)
    if isinstance(found, GatewayError) and found.status == 405:
        response.headers["Allow"] = found.message.rpartition("expected ")[2]
    return response


def ended_by_stop(parts: GatewayParts, context: RequestContext) -> GatewayError:
    """Return the error of a request that was accepted, and that the stop of the gateway has ended; mark it for the log."""
    context.cut = True
    seconds = parts.settings.gateway_drain_seconds
    return GatewayError(
        f"this request was ended by the stop of the gateway, {seconds:g} s after it began to stop; it may be sent again, "
        "to another replica",
        status=503,
        code="stopping",
        closes=True,
    )


def authenticated(parts: GatewayParts, request: web.Request) -> Principal:
    """Return the principal of a request.

    Raises:
        GatewayError: 401 or 403; 503 while keys cannot be known.
    """
    state = parts.state
    if (reason := parts.keys_unknown(state)) is not None:
        raise GatewayError(reason, status=503, code="keys_unknown", retry_after_seconds=_KEYS_SECONDS)
    keys = state.fleet.keys
    now = datetime.now(UTC)
    if parts.outside is not None:
        found = parts.outside.principal_of(request)
        if found is not None:
            return found
        if not keys:  # clients of this machine have other ways in, too
            raise no_valid_key()
    if keys:
        try:
            return parts.senders.principal_of(request.headers, keys, now)
        except GatewayError as error:
            if request.path != "/":  # a person with a browser, most likely
                raise
            message = f"{error.message}; GET /docs needs none, and describes every path"
            raise GatewayError(message, status=error.status, code=error.code) from None
    # The address of the client decides; uvloop asks the system for it each time.
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return principal_of(
        request.headers, keys, now, peer=peer[0] if isinstance(peer, tuple) else None, origins=parts.origins
    )


def not_found(request: web.Request) -> GatewayError:
    """Return the error for a path that is not there."""
    known = {each.canonical for each in request.app.router.resources()} - {ANYWHERE}
    return unknown_path(request.path, known)


async def nothing_here(request: web.Request) -> web.StreamResponse:
    """Raise 405 for a path that other methods have, else 404."""
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        if resource.canonical != ANYWHERE:
            allowed |= (await resource.resolve(request))[1]
    raise web.HTTPMethodNotAllowed(request.method, allowed) if allowed else web.HTTPNotFound


def _refuse_version(request: web.Request) -> None:
    found = f"HTTP/{request.version.major}.{request.version.minor}"
    request._version = HttpVersion11  # noqa: SLF001 - the answer would have the same version
    raise GatewayError(
        f"found the version {found}, expected HTTP/1.1", status=505, code="http_version_not_supported", closes=True
    )


async def _expected(request: web.Request) -> None:
    """Answer the header Expect of a client that waits before it sends its body: its key is valid."""
    if request.version != HttpVersion11:
        return
    if request.headers["expect"].lower() != "100-continue":
        raise GatewayError(
            "header Expect: found another value, expected 100-continue",
            status=417,
            code="expectation_failed",
            closes=True,
        )
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the answer itself comes later


async def _read(request: web.Request) -> None:
    """Wait for the body within its limit; handlers find it in `request`."""
    limit = body_limit(request.path, request.client_max_size)
    request._client_max_size = limit  # noqa: SLF001 - bodies in chunks have no length before
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise GatewayError("found a compressed body, expected a plain one", status=415, closes=True)
    try:
        if (request.content_length or 0) > limit:  # before any of it is read
            raise web.HTTPRequestEntityTooLarge(limit, request.content_length or 0)
        if "expect" in request.headers:
            await _expected(request)
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise GatewayError(
            f"found a body of more than {limit:,} bytes, expected a smaller one",
            status=413,
            code="too_large",
            closes=True,
        ) from None
    except (web.RequestPayloadError, ConnectionError):
        raise GatewayError("the body is malformed or incomplete", status=400, closes=True) from None
    if len(body) > LARGE_BODY_BYTES:
        await check_elements(request.path, body)
