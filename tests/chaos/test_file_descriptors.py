"""A real daemon without file descriptors: clients of its port, and lost connections, must not end it."""

import http.client
import resource
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from support.ports import free_port
from support.programs import Program
from support.servers import execute
from support.waiting import eventually

_TERMINATE = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'centralcloud/%'
"""


def readiness(port: int) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_daemon_without_file_descriptors_waits_until_some_are_free(
    start: Callable[..., Program], database_url: str
) -> None:
    port = free_port()
    daemon = start("centralcloud", "run", DATABASE_URL=database_url, CENTRALCLOUD_HTTP_PORT=str(port))
    eventually(lambda: readiness(port)[0] == 200)
    pid = daemon.process.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    with ExitStack() as clients:
        for _ in range(40):  # each sends the first byte of a request, and holds a descriptor for the rest
            client = clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(b"G")
        eventually(lambda: len(list(Path(f"/proc/{pid}/fd").iterdir())) > 40)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
        socket.create_connection(("127.0.0.1", port)).close()
        daemon.wait_for("http_accept_failed")
        execute(database_url, _TERMINATE)
        eventually(lambda: {"out_of_file_descriptors", "database_unavailable"} & set(daemon.events()))
        execute(database_url, _TERMINATE)
        assert daemon.process.poll() is None
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    daemon.wait_for("database_restored")
    eventually(lambda: readiness(port)[0] == 200)
    assert daemon.process.poll() is None
    assert "background_task_failed" not in daemon.events()
