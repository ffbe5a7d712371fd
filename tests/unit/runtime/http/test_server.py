"""The HTTP server of both programs, and clients that misbehave."""

import errno
import http.client
import json
import os
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from prometheus_client import CollectorRegistry
from support.waiting import eventually

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.http import server as http_server
from centralcloud.runtime.http.connections import Limits
from centralcloud.runtime.http.routes import health_routes
from centralcloud.runtime.http.server import HttpServer

#: Short, so that a test need not wait for ten seconds.
_QUICK = Limits(request_seconds=0.3, unread_seconds=0.3, idle_seconds=0.6)


def fault() -> object:
    raise ZeroDivisionError("fault")


def no_problems() -> list[str]:
    return []


@contextmanager
def serving(
    *,
    limits: Limits | None = None,
    address: str = "127.0.0.1",
    pages: dict[str, Callable[[], object]] | None = None,
) -> Iterator[HttpServer]:
    checks = {"/livez": no_problems, "/readyz": lambda: ["the database is unavailable: no route"]}
    routes = health_routes(checks, CollectorRegistry(), {"/fault": fault, **(pages or {})})
    server = HttpServer(address, 0, routes, limits=limits)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with serving() as server:
        yield server


def ask(server: HttpServer, method: str, path: str, *, host: str = "127.0.0.1") -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, server.port, timeout=5)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def connect(server: HttpServer) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port))
    client.settimeout(5)
    return client


def closed_after(client: socket.socket) -> float:
    """Seconds until the server closes the connection without an answer."""
    started = time.monotonic()
    with suppress(ConnectionResetError):  # with bytes in flight
        assert client.recv(1) == b""
    return time.monotonic() - started


def drip(client: socket.socket, data: bytes) -> float:
    """Seconds until the server closes the connection while one byte after the other arrives."""
    started = time.monotonic()
    client.settimeout(0.02)
    for byte in data:
        try:
            client.sendall(bytes([byte]))
            if client.recv(1) == b"":
                return time.monotonic() - started
        except TimeoutError:
            continue
        except (ConnectionResetError, BrokenPipeError):
            return time.monotonic() - started
    raise AssertionError("the server read it all")


def test_the_limits_are_those_that_are_documented() -> None:
    limits = Limits()
    assert (limits.request_seconds, limits.unread_seconds, limits.idle_seconds) == (10, 10, 75)
    assert limits.connections == 256


def test_a_check_is_answered_to_get_and_to_head(server: HttpServer) -> None:
    """Load balancers ask by HEAD."""
    assert ask(server, "GET", "/livez") == (200, "ok\n")
    assert ask(server, "HEAD", "/livez") == (200, "")
    assert ask(server, "GET", "/readyz") == (503, "the database is unavailable: no route\n")
    assert ask(server, "HEAD", "/readyz") == (503, "")
    assert ask(server, "HEAD", "/nothing") == (404, "")
    assert ask(server, "GET", "/livez?verbose=1") == (200, "ok\n")
    assert ask(server, "GET", "/nothing") == (404, "not found; the paths here are /fault, /livez, /metrics, /readyz\n")


def test_another_method_is_not_allowed(server: HttpServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("POST", "/livez", body=b"{}")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert answer.read() == b"POST is not allowed here, only GET, HEAD\n"
    connection.request("GET", "/livez")
    assert connection.getresponse().status == 200, "on the same connection"
    connection.close()


def test_metrics_and_pages_have_their_types() -> None:
    with serving(pages={"/catalog": lambda: {"version": 3}}) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request("GET", "/catalog")
        answer = connection.getresponse()
        assert (answer.headers["Content-Type"], json.loads(answer.read())) == ("application/json", {"version": 3})
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        answer.read()
        connection.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_on_ipv6_it_answers_both_protocols() -> None:
    """As a cluster with IPv6 alone needs it: CENTRALCLOUD_HTTP_ADDRESS=::."""
    with serving(address="::") as server:
        for host in ("::1", "127.0.0.1"):
            assert ask(server, "GET", "/livez", host=host) == (200, "ok\n"), host


def test_an_invalid_address_is_one_line() -> None:
    with pytest.raises(CentralCloudError, match=r"cannot serve HTTP on no\.such\.host\.invalid:0: "):
        HttpServer("no.such.host.invalid", 0, [])


def test_a_port_that_is_taken_is_one_line(server: HttpServer) -> None:
    with pytest.raises(CentralCloudError, match=rf"^cannot serve HTTP on 127\.0\.0\.1:{server.port}: Address already"):
        HttpServer("127.0.0.1", server.port, [])


def test_silent_clients_are_disconnected() -> None:
    with serving(limits=_QUICK) as server:
        before = threading.active_count()
        silent = [connect(server) for _ in range(20)]
        for each in silent[:10]:
            each.sendall(b"GET /livez HT")
        assert ask(server, "GET", "/livez") == (200, "ok\n")
        for each in silent:
            closed_after(each)
            each.close()
        assert threading.active_count() <= before


@pytest.mark.parametrize("start", [b"", b"GET /livez HTTP/1.1\r\nX-Slow: "], ids=["the request line", "a header"])
def test_a_header_that_drips_is_cut_off_at_the_deadline(start: bytes) -> None:
    with serving(limits=_QUICK) as server, connect(server) as client:
        client.sendall(start)
        assert 0.2 < drip(client, b"GET /" + 5000 * b"x") < 2


def test_a_body_that_drips_is_cut_off_at_the_deadline() -> None:
    with serving(limits=_QUICK) as server, connect(server) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n")
        assert 0.2 < drip(client, 5000 * b"x") < 2
        assert ask(server, "GET", "/livez") == (200, "ok\n")


def test_a_second_request_has_the_same_deadline() -> None:
    with serving(limits=Limits(request_seconds=0.3, idle_seconds=60)) as server, connect(server) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
        assert 0.2 < drip(client, b"GET /" + 5000 * b"x") < 2


def test_a_body_that_is_too_large_is_refused() -> None:
    with serving(limits=Limits(body_bytes=100)) as server, connect(server) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n" + 101 * b"x")
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_header_that_is_too_large_is_refused(server: HttpServer) -> None:
    with connect(server) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: h\r\nX-Long: " + 9000 * b"x" + b"\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.0 400 ")
    with connect(server) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: h\r\n" + 100 * b"X-Many: x\r\n" + b"\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.0 400 ")


def test_a_connection_is_kept_for_more_requests_and_closed_when_idle() -> None:
    with serving(limits=_QUICK) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        for _ in range(5):
            connection.request("GET", "/livez")
            assert connection.getresponse().read() == b"ok\n"
            if connection.sock is None:
                raise AssertionError("closed after one request")
        assert 0.5 < closed_after(connection.sock) < 2
        connection.close()


def test_a_client_that_closes_its_side_after_the_request_is_answered(server: HttpServer) -> None:
    """As `nc -N` and simple health checks do."""
    with connect(server) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nok\n")


def test_a_client_that_does_not_read_its_answer_is_disconnected(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with serving(limits=_QUICK, pages={"/large": lambda: 50_000_000 * "x"}) as server, connect(server) as client:
        client.sendall(b"GET /large HTTP/1.0\r\n\r\n")
        eventually(lambda: "the client did not read the answer in time" in caplog.text)
        assert ask(server, "GET", "/livez") == (200, "ok\n")


def test_slow_clients_at_the_cap_make_room_for_others() -> None:
    """Health checks get through at once: the connection that has waited longest is closed for them."""
    with serving(limits=Limits(connections=10)) as server, ExitStack() as stack:
        slow = [stack.enter_context(connect(server)) for _ in range(10)]
        for each in slow[1:]:
            each.sendall(b"GET /livez HT")
        for _ in range(3):
            assert ask(server, "GET", "/livez") == (200, "ok\n")
        assert closed_after(slow[0]) < 1


def test_at_the_cap_further_connections_wait_while_all_are_answered() -> None:
    released = threading.Event()
    with (
        serving(limits=Limits(connections=3), pages={"/slow": lambda: released.wait(10)}) as server,
        ExitStack() as stack,
    ):
        busy = [stack.enter_context(connect(server)) for _ in range(3)]
        for each in busy:
            each.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
        eventually(lambda: sum(thread.name == "http-page" for thread in threading.enumerate()) == 3)
        waiting = stack.enter_context(connect(server))
        waiting.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        waiting.settimeout(0.3)
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        released.set()
        waiting.settimeout(5)
        assert waiting.recv(4096).startswith(b"HTTP/1.0 200 OK\r\n")
        for each in busy:
            assert each.recv(4096).startswith(b"HTTP/1.0 200 OK\r\n")


def test_many_clients_at_the_same_time_are_all_answered(server: HttpServer) -> None:
    answers: list[tuple[int, str]] = []
    clients = [threading.Thread(target=lambda: answers.append(ask(server, "GET", "/livez"))) for _ in range(100)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    assert answers == 100 * [(200, "ok\n")]


def test_it_survives_the_end_of_file_descriptors(caplog: pytest.LogCaptureFixture) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving() as server, ExitStack() as stack:
        ready = [stack.enter_context(socket.socket()) for _ in range(3)]
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, before[1]))
        try:
            for each in ready:
                each.settimeout(10)
                each.connect(("127.0.0.1", server.port))
                each.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
            eventually(lambda: "http_accept_failed" in caplog.text)
            assert os.strerror(errno.EMFILE) in caplog.text
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for each in ready:
            assert each.recv(4096).startswith(b"HTTP/1.0 200 OK\r\n")
        assert caplog.text.count("http_accept_failed") == 1


def test_a_page_that_hangs_delays_no_check_and_no_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    with serving(pages={"/hanging": lambda: released.wait(30)}) as server, connect(server) as client:
        client.sendall(b"GET /hanging HTTP/1.0\r\n\r\n")
        started = time.monotonic()
        assert ask(server, "GET", "/livez") == (200, "ok\n")
        server.stop()
        assert time.monotonic() - started < 2
        released.set()


def test_a_page_that_takes_too_long_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("centralcloud.runtime.http.threads.LIMIT_SECONDS", 0.2)
    released = threading.Event()
    with serving(pages={"/hanging": lambda: released.wait(30)}) as server:
        assert ask(server, "GET", "/hanging") == (503, "no answer within 0.2 seconds\n")
        released.set()


def test_an_event_loop_that_is_blocked_has_no_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_STALL_SECONDS", 0.7)
    released = threading.Event()
    routes = health_routes({"/blocking": lambda: [str(released.wait(10))]}, CollectorRegistry())
    server = HttpServer("127.0.0.1", 0, routes)
    server.start()
    try:
        eventually(lambda: server.heartbeat.age_seconds > 0)
        assert not server.heartbeat.stalled
        with connect(server) as client:
            client.sendall(b"GET /blocking HTTP/1.0\r\n\r\n")
            eventually(lambda: server.heartbeat.stalled)
            assert str(server.heartbeat) == "http: last heartbeat 1 second ago, limit 1"
            released.set()
            eventually(lambda: not server.heartbeat.stalled)
    finally:
        server.stop()


def test_a_client_that_hangs_up_writes_nothing_over_the_log(
    server: HttpServer, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    for _ in range(20):
        client = connect(server)
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    eventually(lambda: "http_client_gone" in caplog.text)
    assert "Traceback" not in caplog.text
    assert ask(server, "GET", "/fault") == (500, "internal error; the log has the details\n")
    eventually(lambda: "http_request_failed" in caplog.text)
    assert "ZeroDivisionError" in caplog.text
    assert capfd.readouterr().err == ""


def test_what_is_not_http_is_one_event_without_a_traceback(
    server: HttpServer, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n", b"BREW /pot HTTP/1.1\r\n\r\n"):
        with connect(server) as client:
            client.sendall(garbage)
            assert client.recv(4096).startswith(b"HTTP/1.0 400 ")
    eventually(lambda: caplog.text.count("http_request_malformed") == 3)
    assert "Traceback" not in caplog.text
    assert capfd.readouterr().err == ""


def test_a_server_that_was_never_started_can_be_stopped() -> None:
    server = HttpServer("127.0.0.1", 0, [])
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        connect(server)


@pytest.mark.parametrize(("descriptors", "connections"), [(1024, 256), (64, 16), (2, 1), (1_048_576, 256)])
def test_connections_leave_file_descriptors_to_the_rest_of_the_process(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, connections: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, descriptors))
    assert Limits().connections == connections
