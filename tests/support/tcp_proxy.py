"""A TCP proxy that can fall silent: half-open connections, as a hanging proxy or a firewall without state causes them."""

import contextlib
import socket
import threading

import psycopg
from psycopg.conninfo import make_conninfo


class TcpProxy:
    """A proxy on 127.0.0.1 that forwards every connection to one server until `pause`.

    A silent connection stays open and keeps reading from both sides, so that both kernels see their data acknowledged. It
    forwards neither data nor the end of a side any more.
    """

    def __init__(self, server_url: str) -> None:
        """`server_url` is any libpq URL; the server may be on a unix socket."""
        with psycopg.connect(server_url) as connection:
            self._host, self._port = connection.info.host, connection.info.port
        self._lock = threading.Lock()
        self._links: list[_Link] = []
        self._silent = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = make_conninfo(server_url, host="127.0.0.1", port=self._listener.getsockname()[1])
        self._acceptor = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._acceptor.start()

    def pause(self) -> None:
        """Silence all connections for good; accept new ones but never answer them."""
        with self._lock:
            self._silent = True
            for link in self._links:
                link.silent = True

    def resume(self) -> None:
        """Forward new connections. Those opened before or during the pause stay silent."""
        with self._lock:
            self._silent = False

    def switch(self, server_url: str) -> None:
        """Forward new connections to another server, as a name or an address does after a failover."""
        with psycopg.connect(server_url) as connection, self._lock:
            self._host, self._port = connection.info.host, connection.info.port

    def cut(self) -> None:
        """Close all connections, on both sides. New ones are treated as before."""
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.close()

    def close(self) -> None:
        """Close all connections and stop listening. Safe to call twice."""
        if self._listener.fileno() == -1:
            return
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
        self._acceptor.join()
        self._listener.close()
        self.cut()

    def __enter__(self) -> "TcpProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                with self._lock:
                    server = None if self._silent else self._connect()
                    self._links.append(_Link(client, server))

    def _connect(self) -> socket.socket | None:
        """Connect to the server; None when it is unavailable, which looks like silence."""
        try:
            if not self._host.startswith("/"):
                return socket.create_connection((self._host, self._port))
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{self._host}/.s.PGSQL.{self._port}")
        except OSError:
            return None
        return server


class _Link:
    """One connection: two sockets, and a thread for each direction."""

    def __init__(self, client: socket.socket, server: socket.socket | None) -> None:
        self.silent = server is None
        self._sockets = [client] if server is None else [client, server]
        self._threads = [
            threading.Thread(target=self._pump, args=ends, name="proxy link", daemon=True)
            for ends in ([(client, None)] if server is None else [(client, server), (server, client)])
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _pump(self, source: socket.socket, target: socket.socket | None) -> None:
        with contextlib.suppress(OSError):  # the other side is gone
            while data := source.recv(65536):
                if target and not self.silent:
                    target.sendall(data)
        if target and not self.silent:
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_RDWR)
