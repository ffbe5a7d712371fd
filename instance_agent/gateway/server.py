"""The server of the gateway: an event loop in a thread, within limits, that ends without cutting what runs."""

import asyncio
import concurrent.futures
import resource
import ssl
from collections.abc import Callable, Iterable
from typing import Final, Literal, TypeAlias

from aiohttp import web

from centralcloud.runtime.http.connections import Connections, Limits
from centralcloud.runtime.http.server import HttpServer
from centralcloud.runtime.logs import get_logger
from instance_agent.gateway.app import MAX_BODY_BYTES, make_app
from instance_agent.gateway.context import new_request_id
from instance_agent.gateway.errors import GatewayError, error_response, openai_form
from instance_agent.gateway.parts import GatewayParts
from instance_agent.gateway.state import GatewayState

log = get_logger(__name__)

_MOST_CONNECTIONS: Final = 8192
_MOST_DESCRIPTORS: Final = 65_536
#: A client with a slow line may need so long for 32 MiB.
_REQUEST_SECONDS: Final = 60.0
_UNREAD_SECONDS: Final = 60.0
#: How long the database has to take the leases back.
_LEASES_SECONDS: Final = 1.0
#: How long ended requests may still write.
_AFTER_CUT_SECONDS: Final = 2.0

NewLoop: TypeAlias = Callable[[], asyncio.AbstractEventLoop]


class GatewayServer(HttpServer):
    """Serves the gateway's application.

    Attributes:
        parts: of the running application; None before the start.
    """

    def __init__(
        self,
        address: str,
        port: int,
        make_parts: Callable[[], GatewayParts],
        routes: Iterable[web.RouteDef],
        *,
        tls: ssl.SSLContext | None = None,
        new_loop: NewLoop | None = None,
    ) -> None:
        """Open the port; raise CentralCloudError where that is not possible. `new_loop` as `event_loop` returns it."""
        limits = Limits(
            request_seconds=_REQUEST_SECONDS,
            unread_seconds=_UNREAD_SECONDS,
            connections=_connections(),
            body_bytes=MAX_BODY_BYTES,
            answers_half_closed=False,
        )
        self._gateway_routes = list(routes)
        self._make_parts = make_parts
        self.parts: GatewayParts | None = None
        super().__init__(
            address, port, (), program="instance-agent", limits=limits, name="gateway", tls=tls, new_loop=new_loop
        )

    def make_app(self, connections: Connections) -> web.Application:
        """Create the application, in the event loop."""

        def make() -> GatewayParts:
            self.parts = self._make_parts()
            return self.parts

        return make_app(connections, make, self._gateway_routes)

    def malformed(self, status: int, reason: str) -> web.Response:
        """Return the answer to a request without a path that could be read: in OpenAI's form, and with an id."""
        request_id = new_request_id()
        error = GatewayError(reason, status=status, code="malformed_request" if status < 500 else "internal_error")
        response = error_response(error, openai_form, request_id)
        response.headers.update(
            {"Server": "instance-agent", "x-centralcloud-request-id": request_id, "x-request-id": request_id}
        )
        return response

    def use(self, state: GatewayState) -> None:
        """Use another state for the requests from now on. From any thread."""
        loop, parts = self._loop, self.parts
        if loop is not None and parts is not None and not loop.is_closed():
            loop.call_soon_threadsafe(parts.use, state)

    def begin_drain(self) -> None:
        """Take no new requests from now on. From any thread."""
        if self.parts is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(setattr, self.parts, "draining", True)

    def drain(self, seconds: float) -> None:
        """Wait until running requests have ended, at most `seconds`; then end them, streams with an error event."""
        loop, parts = self._loop, self.parts
        if loop is None or parts is None or loop.is_closed():
            return
        work = asyncio.run_coroutine_threadsafe(_drain(parts, seconds), loop)
        try:
            work.result(seconds + 2 * _AFTER_CUT_SECONDS + 2 * _LEASES_SECONDS)
        except concurrent.futures.TimeoutError:
            log.warning("gateway_drain_stalled", seconds=seconds, effect="running requests are cut")


def event_loop(choice: Literal["uvloop", "asyncio"]) -> NewLoop | None:
    """Return the function that creates the event loop, None for that of asyncio: also where uvloop cannot be loaded."""
    if choice == "asyncio":
        return None
    try:
        import uvloop
    except ImportError as error:
        effect = "the event loop of asyncio is used, which needs more processor time"
        log.warning("uvloop_not_loaded", reason=str(error), effect=effect)
        return None
    return uvloop.new_event_loop


async def _drain(parts: GatewayParts, seconds: float) -> None:
    parts.draining = True
    running = len(parts.in_flight)
    log.info("gateway_draining", running=running, seconds=seconds)
    try:
        async with asyncio.timeout(seconds):
            await parts.idle.wait()
    except TimeoutError:
        parts.cutting = True
        parts.executor.stop()
        cut = list(parts.in_flight)
        log.warning("gateway_requests_cut", count=len(cut), reason=f"they ran longer than {seconds:g} s after the stop")
        for task in cut:
            task.cancel()
        await asyncio.wait(cut, timeout=_AFTER_CUT_SECONDS)
    await parts.admission.spender.close(_LEASES_SECONDS)


def _connections() -> int:
    """Return how many connections the gateway may hold: each may have one to an upstream. Raises the soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError):
            log.debug("descriptors_not_raised", soft=soft, wanted=wanted)
    descriptors = _MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    return max(16, min(_MOST_CONNECTIONS, descriptors // 3))
