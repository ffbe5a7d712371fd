"""The HTTP server of both programs: aiohttp in a thread and an event loop of its own."""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from centralcloud.runtime.http.connections import Connection, Connections, Limits
from centralcloud.runtime.http.exchange import exchange_within
from centralcloud.runtime.http.listening import listen
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.process.heartbeat import Heartbeat

log = get_logger(__name__)

_BEAT_SECONDS: Final = 0.5
#: The loop has nothing to do that takes longer than milliseconds.
_STALL_SECONDS: Final = 10.0
#: aiohttp waits this long for a handler to finish, and again for it to be cancelled.
_STOP_SECONDS: Final = 0.25
_JOIN_SECONDS: Final = 1.0
#: After an accept that failed, most likely because the process has no file descriptors left.
_ACCEPT_RETRY_SECONDS: Final = 0.5
#: How long the rest of a body that was refused is read, so that the client can read the answer.
_LINGER_SECONDS: Final = 1.0
#: Longest header, and longest request line.
_HEADER_BYTES: Final = 8190
_HEADERS: Final = 64


class HttpServer:
    """Serves routes until it is stopped.

    Attributes:
        port: the port it listens on.
        heartbeat: of its event loop; a blocked loop answers no request.
        on_crash: called with the name and the error when the server ends by an error.
    """

    def __init__(
        self,
        address: str,
        port: int,
        routes: Iterable[web.AbstractRouteDef],
        *,
        program: str = "",
        limits: Limits | None = None,
        name: str = "http",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Open the port; port 0 takes a free one. Every answer names the `program` in its header Server.

        Args:
            name: of the thread and of the heartbeat.
            tls: serves HTTPS; None: HTTP.

        Raises:
            CentralCloudError: the port cannot be opened.
        """
        self._listener = listen(address, port)
        self.port: int = self._listener.getsockname()[1]
        self._routes = list(routes)
        self._program = program
        self._limits = limits or Limits()
        self._tls = tls
        self._handshakes: set[asyncio.Task[None]] = set()
        self.heartbeat = Heartbeat(name, lambda: _STALL_SECONDS)
        self.on_crash: Callable[[str, BaseException], None] | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def use_tls(self, tls: ssl.SSLContext) -> None:
        """Use another certificate for the connections from now on. From any thread."""
        self._tls = tls

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()
        self._started.wait()
        log.info("http_listening", address=self._listener.getsockname()[0], port=self.port)

    def stop(self) -> None:
        """Close the port, then every connection, within a second."""
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.ident is not None:
            self._thread.join(_JOIN_SECONDS)
        self.heartbeat.rest()
        self._listener.close()

    def abandon(self) -> None:
        """Close the copy of the port in the child of a fork, which serves nothing."""
        with contextlib.suppress(OSError):
            os.close(self._listener.detach())

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self.on_crash is None:
                raise
            self.on_crash(self._thread.name, error)
        finally:
            self._started.set()

    def make_app(self, connections: Connections) -> web.Application:
        """Create the application, in the event loop; a server with other routes has its own."""
        app = web.Application(
            client_max_size=self._limits.body_bytes, middlewares=[exchange_within(connections, self._program)]
        )
        app.add_routes(self._routes)
        return app

    async def _serve(self) -> None:
        connections = Connections(self._limits)
        app = self.make_app(connections)
        # No keep-alive timeout for aiohttp: its default is longer than every deadline of a `Connection`.
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=_ProtocolLog(__name__),
            shutdown_timeout=_STOP_SECONDS,
            auto_decompress=False,
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
            max_headers=_HEADERS,
            lingering_time=_LINGER_SECONDS,
            handler_cancellation=not self._limits.answers_half_closed,
        )
        await runner.setup()
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(_log_fault)
        self._stop = asyncio.Event()
        stop = asyncio.create_task(self._stop.wait())
        loops = [asyncio.create_task(self._accept(runner, connections)), asyncio.create_task(self._beat())]
        self._started.set()
        try:
            ended, _ = await asyncio.wait([stop, *loops], return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in loops:
                task.cancel()
            self._listener.close()
            await runner.cleanup()
            connections.abort_all()

    async def _beat(self) -> None:
        while True:
            self.heartbeat.beat()
            await asyncio.sleep(_BEAT_SECONDS)

    async def _accept(self, runner: web.AppRunner, connections: Connections) -> None:
        """Accept connections, one at a time. asyncio's own server has no cap, and at EMFILE it floods the log."""
        loop = asyncio.get_running_loop()
        protocol_of_aiohttp = runner.server
        assert protocol_of_aiohttp is not None
        failing = False
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                if not failing:
                    log.warning("http_accept_failed", reason=str(error))
                failing = True
                await asyncio.sleep(_ACCEPT_RETRY_SECONDS)
                continue
            failing = False
            try:
                await connections.wait_for_room()
                await self._connect(lambda: Connection(protocol_of_aiohttp(), connections), accepted)
            except OSError as error:
                log.debug("http_client_gone", client="", reason=str(error))
                accepted.close()
            except asyncio.CancelledError:
                accepted.close()
                raise

    async def _connect(self, make: Callable[[], Connection], accepted: socket.socket) -> None:
        """Serve a connection. A TLS handshake is not waited for: it takes as long as the client likes."""
        loop = asyncio.get_running_loop()
        if self._tls is None:
            await loop.connect_accepted_socket(make, accepted)
            return
        if len(self._handshakes) >= self._limits.connections:
            await asyncio.wait(self._handshakes, return_when=asyncio.FIRST_COMPLETED)
        task = loop.create_task(self._shake_hands(make, accepted, self._tls))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, make: Callable[[], Connection], accepted: socket.socket, tls: ssl.SSLContext) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                make, accepted, ssl=tls, ssl_handshake_timeout=self._limits.request_seconds
            )
        except OSError as error:
            log.debug("http_client_gone", client="", reason=f"TLS: {error}")


def _log_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error that no handler has caught, instead of asyncio, which writes a traceback over several lines."""
    error = context.get("exception")
    where = traceback.format_exception(error) if error is not None else []
    log.error("http_loop_failed", reason=context.get("message"), error=repr(error), traceback=where)


class _ProtocolLog(logging.Logger):
    """Turns the tracebacks that aiohttp logs, for its own errors and for requests that are not HTTP, into one event each."""

    def exception(self, msg: object, *_args: object, exc_info: Any = True, **_: Any) -> None:
        error = exc_info if isinstance(exc_info, BaseException) else sys.exception()
        if isinstance(error, HttpProcessingError):
            log.debug("http_request_malformed", reason=" ".join(str(error).split()))
        elif not isinstance(error, ConnectionError):
            where = traceback.format_exception(error) if error is not None else []
            log.error("http_loop_failed", reason=str(msg), error=repr(error), traceback=where)

    def debug(self, msg: object, *_args: object, exc_info: Any = None, **_: Any) -> None:  # noqa: ARG002
        if isinstance(exc_info, HttpProcessingError):
            log.debug("http_request_malformed", reason=" ".join(str(exc_info).split()))
