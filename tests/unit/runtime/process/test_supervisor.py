"""A program as a whole: its HTTP server under supervision, and the watchdog."""

import http.client
import re
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry
from support.ports import free_port
from support.service_manager import a_service_manager
from support.waiting import eventually

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.diagnostics import Verdict, check_http_port
from centralcloud.runtime.http import server as http_server
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process import background
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.runtime.process.supervisor import Supervisor
from centralcloud.runtime.process.systemd import ServiceManager
from centralcloud.runtime.settings import ProgramSettings
from centralcloud.settings import Settings
from instance_agent.settings import AgentSettings


def ask(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@contextmanager
def supervising(supervisor: Supervisor, manager: ServiceManager) -> Iterator[list[BaseException]]:
    """Run the main loop of a program in a thread; yields the errors that end it."""
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            supervisor.wait(manager)
        except CentralCloudError as error:
            errors.append(error)

    main = threading.Thread(target=wait)
    main.start()
    try:
        yield errors
    finally:
        supervisor.stop()
        main.join(5)


class Failing(BackgroundTask):
    """Fails until it is released."""

    def run_once(self) -> bool:
        if not self.released.is_set():
            raise LookupError("no such week")
        return False

    def __init__(self) -> None:
        super().__init__(
            "failing", Database("postgresql://u@127.0.0.1:1/n", application_name="t"), interval_seconds=None
        )
        self.released = threading.Event()
        self.may_degrade = True


def test_a_degraded_task_is_a_detail_of_readiness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_FIRST_DEGRADED_BACKOFF_SECONDS", 0.02)
    task, port = Failing(), free_port()
    supervisor = Supervisor([task])
    settings = ProgramSettings(http_port=port)
    supervisor.serve(settings, registry=CollectorRegistry(), not_ready=list)
    supervisor.start()
    try:
        eventually(lambda: task.degradation)
        status, body = ask(port, "/readyz")
        assert status == 200
        assert re.fullmatch(r"ok\nfailing: degraded for \d seconds?: LookupError: no such week\n?", body)
        assert ask(port, "/livez")[0] == 200
        task.released.set()
        eventually(lambda: task.degradation is None)
        assert ask(port, "/readyz") == (200, "ok\n")
    finally:
        supervisor.stop()


def test_readiness_follows_start_and_stop() -> None:
    supervisor = Supervisor([])
    port = free_port()
    supervisor.serve(
        ProgramSettings(http_port=port), registry=CollectorRegistry(), not_ready=list, pages={"/catalog": dict}
    )
    try:
        assert ask(port, "/livez") == (200, "ok\n")
        assert ask(port, "/readyz") == (503, "starting\n")
        supervisor.start()
        assert ask(port, "/readyz") == (200, "ok\n")
        assert ask(port, "/catalog") == (200, "{}")
        supervisor.shutdown.request()
        assert ask(port, "/readyz") == (503, "stopping\n")
    finally:
        supervisor.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(port, "/livez")


@pytest.mark.parametrize(("settings_class", "program"), [(Settings, "centralcloud"), (AgentSettings, "instance-agent")])
def test_doctor_recognizes_the_port_of_its_running_program(settings_class: type[ProgramSettings], program: str) -> None:
    supervisor = Supervisor([])
    settings = settings_class(http_port=free_port())
    supervisor.serve(settings, registry=CollectorRegistry(), not_ready=list)
    try:
        result = check_http_port(settings.http_address, settings.http_port, program)
    finally:
        supervisor.stop()
    assert (result.verdict, "is running" in result.found) == (Verdict.OK, True), result


def test_an_http_loop_that_is_blocked_stops_the_watchdog(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http_server, "_STALL_SECONDS", 1.0)
    released = threading.Event()
    port = free_port()
    address = f"@centralcloud-{uuid.uuid4().hex}"
    manager = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "300000"})

    def blocked() -> list[str]:
        released.wait(30)
        return []

    with a_service_manager(address) as systemd:
        supervisor = Supervisor([])
        supervisor.serve(ProgramSettings(http_port=port), registry=CollectorRegistry(), not_ready=blocked)
        supervisor.start()
        with supervising(supervisor, manager):
            systemd.hear("WATCHDOG=1")
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
                systemd.hear("STATUS=http: last heartbeat 1 second ago, limit 1")
                assert not systemd.hears("WATCHDOG=1", for_seconds=0.5)
                assert "background_task_stalled" in caplog.text
                released.set()
                systemd.hear("WATCHDOG=1")


def test_an_http_server_that_fails_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = Supervisor([])
    supervisor.serve(ProgramSettings(http_port=free_port()), registry=CollectorRegistry(), not_ready=list)
    supervisor.start()
    with supervising(supervisor, ServiceManager({})) as errors:
        assert supervisor._http is not None

        def fail() -> None:
            raise ZeroDivisionError("fault")

        monkeypatch.setattr(supervisor._http.heartbeat, "beat", fail)
        eventually(lambda: errors)
        assert str(errors[0]) == "stopped because the background task http failed: ZeroDivisionError: fault"


def test_without_a_port_there_is_no_server() -> None:
    supervisor = Supervisor([])
    supervisor.serve(ProgramSettings(), registry=CollectorRegistry(), not_ready=list)
    assert supervisor._http is None
    assert supervisor.stalled_tasks() == []
