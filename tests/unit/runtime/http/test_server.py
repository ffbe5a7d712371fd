"""The HTTP server of both programs, and clients that do not behave."""

import http.client
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from support.waiting import eventually

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.http.server import HealthServer


def fault() -> object:
    raise ZeroDivisionError("a fault of ours")


@pytest.fixture
def server() -> Iterator[HealthServer]:
    checks = {"/livez": list, "/readyz": lambda: ["the database is away: no route"]}
    server = HealthServer("127.0.0.1", 0, checks=checks, registry=CollectorRegistry(), pages={"/fault": fault})
    server.start()
    yield server
    server.stop()


def ask(server: HealthServer, method: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_a_check_is_answered_to_get_and_to_head(server: HealthServer) -> None:
    """Load balancers ask by HEAD."""
    assert ask(server, "GET", "/livez") == (200, "ok\n")
    assert ask(server, "HEAD", "/livez") == (200, "")
    assert ask(server, "GET", "/readyz") == (503, "the database is away: no route\n")
    assert ask(server, "HEAD", "/readyz") == (503, "")
    assert ask(server, "HEAD", "/nothing") == (404, "")
    assert ask(server, "POST", "/livez")[0] == 501


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_on_ipv6_it_answers_both_protocols() -> None:
    """As a cluster with IPv6 alone needs it: CENTRALCLOUD_HTTP_ADDRESS=::."""
    server = HealthServer("::", 0, checks={"/livez": list}, registry=CollectorRegistry())
    server.start()
    try:
        for host in ("::1", "127.0.0.1"):
            connection = http.client.HTTPConnection(host, server.port, timeout=5)
            connection.request("GET", "/livez")
            assert connection.getresponse().status == 200, host
    finally:
        server.stop()


def test_an_address_that_is_none_is_one_line() -> None:
    with pytest.raises(CentralCloudError, match=r"cannot serve HTTP on no\.such\.host\.invalid:0: "):
        HealthServer("no.such.host.invalid", 0, checks={}, registry=CollectorRegistry())


def test_clients_that_say_nothing_are_let_go(server: HealthServer, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = server._server.RequestHandlerClass
    assert handler.timeout == 10
    monkeypatch.setattr(handler, "timeout", 0.2)
    before = threading.active_count()
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    for each in silent[:10]:
        each.sendall(b"GET /livez HT")
    assert ask(server, "GET", "/livez") == (200, "ok\n")
    for each in silent:
        each.settimeout(5)
        assert each.recv(1) == b"", "closed by the server"
        each.close()
    eventually(lambda: threading.active_count() <= before)


def test_a_client_that_hangs_up_writes_nothing_over_the_log(
    server: HealthServer, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    for _ in range(20):
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    eventually(lambda: "http_client_gone" in caplog.text)
    with pytest.raises(http.client.RemoteDisconnected):
        ask(server, "GET", "/fault")
    eventually(lambda: "http_request_failed" in caplog.text)
    assert capfd.readouterr().err == ""
