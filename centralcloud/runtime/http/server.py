"""The small HTTP server of both programs: /livez, /readyz, /metrics, and pages of JSON."""

import json
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)

_PLAIN: Final = "text/plain; charset=utf-8"
#: Who connects and then says nothing, or takes no answer, is let go: a thread and a file descriptor wait for each.
_SILENCE_SECONDS: Final = 10.0

#: Returns what is wrong, a line each; nothing when all is well.
Check = Callable[[], list[str]]


class HealthServer:
    """Answers 200 when a check finds nothing wrong, 503 with what is wrong otherwise."""

    def __init__(
        self,
        address: str,
        port: int,
        *,
        checks: Mapping[str, Check],
        registry: CollectorRegistry,
        pages: Mapping[str, Callable[[], Any]] | None = None,
    ) -> None:
        """`checks` and `pages` are by path, e.g. ``/livez``; a page's value is sent as JSON.

        Raises:
            CentralCloudError: the port cannot be opened.
        """
        handler = _handler(checks, registry, pages or {})
        try:
            self._server = _Server((address, port), handler)
        except OSError as error:
            raise CentralCloudError(f"cannot serve HTTP on {address}:{port}: {error.strerror}") from None
        self.port: int = self._server.server_address[1]

    def start(self) -> None:
        """Serve in a thread of its own."""
        threading.Thread(target=self._server.serve_forever, name="http", daemon=True).start()
        log.info("http_listening", address=self._server.server_address[0], port=self.port)

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


def family_of(address: str) -> socket.AddressFamily:
    """IPv4 or IPv6, as an address or a host name to listen on asks for.

    Raises:
        OSError: it is neither, or no address of a known host.
    """
    return socket.getaddrinfo(address, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # a handful lets the kernel drop who comes at the same time, for a second

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = family_of(address[0])
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """On :: for both protocols, whatever the system's default is."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """A client that hung up is no fault of ours, and one of ours must not write over the log."""
        error = sys.exception()
        if isinstance(error, OSError):
            log.debug("http_client_gone", client=client_address[0], reason=str(error))
        else:
            log.error("http_request_failed", error=repr(error), traceback=traceback.format_exception(error))


def _handler(
    checks: Mapping[str, Check], registry: CollectorRegistry, pages: Mapping[str, Callable[[], Any]]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _SILENCE_SECONDS

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path in checks:
                wrong = checks[path]()
                self._answer(503 if wrong else 200, _PLAIN, ("\n".join(wrong or ["ok"]) + "\n").encode())
            elif path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            elif path in pages:
                self._answer(200, "application/json", json.dumps(pages[path](), default=str).encode())
            else:
                known = ", ".join(sorted([*checks, *pages, "/metrics"]))
                self._answer(404, _PLAIN, f"nothing here; there are {known}\n".encode())

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            log.debug("http_request", request=format % args)

    return Handler
