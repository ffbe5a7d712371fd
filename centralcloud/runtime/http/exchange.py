"""One request and its answer: reading it within the limits, errors as plain text, one log event."""

import traceback
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeAlias

from aiohttp import web

from centralcloud.runtime.http.connections import Connections
from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


def exchange_within(connections: Connections, program: str) -> Any:
    """Create the outermost middleware. It alone sees when a request has arrived and when its answer was written.

    Args:
        program: the name in the header Server, which `doctor` reads; never a version.
    """

    @web.middleware
    async def exchange(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = connections.of(request.protocol)
        if connection is None:  # the client is gone already
            return web.Response(status=HTTPStatus.BAD_REQUEST)
        response = await _read(request)
        connection.answering()
        if response is None:
            response = await _answer(request, handler)
        response.headers["Server"] = program
        try:
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:
            pass  # the client is gone, which its connection logs
        log.debug("http_request", method=request.method, path=request.path, status=response.status)
        connection.answered(keep_alive=bool(response.keep_alive))
        return response

    return exchange


def plain_text(status: HTTPStatus, text: str) -> web.Response:
    """Create an answer of one line, or of several."""
    return web.Response(status=status, text=f"{text}\n")


async def _read(request: web.Request) -> web.StreamResponse | None:
    """Wait for the body; returns an answer when the request is refused for it. Handlers find it in `request`."""
    try:
        if (request.content_length or 0) > request.client_max_size:  # before any of it is read
            raise web.HTTPRequestEntityTooLarge(request.client_max_size, request.content_length or 0)
        await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        response = plain_text(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error.text or "the body is too large")
    except (web.RequestPayloadError, ConnectionError):
        response = plain_text(HTTPStatus.BAD_REQUEST, "the body is malformed or incomplete")
    else:
        return None
    response.force_close()
    return response


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        response = plain_text(HTTPStatus.METHOD_NOT_ALLOWED, f"{error.method} is not allowed here, only {allowed}")
        response.headers["Allow"] = allowed
        return response
    except web.HTTPNotFound:
        paths = sorted({resource.canonical for resource in request.app.router.resources()})
        return plain_text(HTTPStatus.NOT_FOUND, f"not found; the paths here are {', '.join(paths)}")
    except web.HTTPException as error:
        response = web.Response(status=error.status, text=error.text, headers=error.headers)
        response.cookies.update(error.cookies)
        return response
    except Exception as error:  # noqa: BLE001 - logged, and answered with 500
        log.error(
            "http_request_failed",
            method=request.method,
            path=request.path,
            error=repr(error),
            traceback=traceback.format_exception(error),
        )
        return plain_text(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the log has the details")
