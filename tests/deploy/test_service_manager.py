"""The programs under systemd: their notifications, and a watchdog that fires when a task hangs."""

import signal
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.events import an_event, send
from support.gateways import start_gateway
from support.sabotage import DEADLY
from support.servers import embedded_folder
from support.service_manager import NotificationSocket, a_service_manager
from support.upstream.fixtures import *  # noqa: F403
from support.upstream.process import FakeUpstream
from support.waiting import eventually

from instance_agent import AgentSettings, InstanceAgent

_WATCHDOG = {"WATCHDOG_USEC": "900000"}  # three heartbeats fit in
_QUICK = {"CENTRALCLOUD_POLL_INTERVAL_SECONDS": "0.1"}


@pytest.fixture(params=["a path", "abstract"])
def systemd(request: pytest.FixtureRequest) -> Iterator[NotificationSocket]:
    with tempfile.TemporaryDirectory() as folder:  # a short path: a socket address has at most 108 bytes
        in_a_folder = str(Path(folder) / "notify")
        address = in_a_folder if request.param == "a path" else f"@centralcloud-{uuid.uuid4().hex}"
        with a_service_manager(address) as listener:
            yield listener


def test_the_daemon_notifies_ready_watchdog_and_stopping(start, database_url: str, systemd: NotificationSocket) -> None:
    daemon = start("centralcloud", "run", DATABASE_URL=database_url, NOTIFY_SOCKET=systemd.address, **_WATCHDOG)
    systemd.hear("READY=1")
    for _ in range(3):
        systemd.hear("WATCHDOG=1", within_seconds=5)
    daemon.process.send_signal(signal.SIGTERM)
    systemd.hear("STOPPING=1", within_seconds=5)
    assert daemon.process.wait(timeout=5) == 0


def test_the_watchdog_fires_when_a_task_hangs(start, database_url: str, systemd: NotificationSocket) -> None:
    start(
        "centralcloud", "run", DATABASE_URL=database_url, NOTIFY_SOCKET=systemd.address, fault="hanging_message",
        **_WATCHDOG, **_QUICK,
    )  # fmt: skip
    systemd.hear("WATCHDOG=1")
    send(database_url, [an_event(instance_id=DEADLY)])
    systemd.hear("STATUS=consumer-")
    assert not systemd.hears("WATCHDOG=1", for_seconds=2)


def test_the_agent_notifies_ready_watchdog_and_stopping(
    start, database_url: str, systemd: NotificationSocket, tmp_path: Path
) -> None:
    agent = start(
        "instance-agent", "run", DATABASE_URL=database_url, NOTIFY_SOCKET=systemd.address,
        INSTANCE_AGENT_STATE_DIR=str(tmp_path / "state"), **_WATCHDOG,
    )  # fmt: skip
    systemd.hear("READY=1")
    systemd.hear("WATCHDOG=1", within_seconds=5)
    agent.process.send_signal(signal.SIGTERM)
    systemd.hear("STOPPING=1", within_seconds=5)
    assert agent.process.wait(timeout=5) == 0


def test_the_dashboard_notifies_ready_watchdog_and_stopping(
    start, database_url: str, systemd: NotificationSocket
) -> None:
    dashboard = start(
        "centralcloud",
        "dashboard",
        "--port",
        "0",
        DATABASE_URL=database_url,
        NOTIFY_SOCKET=systemd.address,
        **_WATCHDOG,
    )
    systemd.hear("READY=1")
    systemd.hear("WATCHDOG=1", within_seconds=5)
    dashboard.process.send_signal(signal.SIGTERM)
    systemd.hear("STOPPING=1", within_seconds=5)
    assert dashboard.process.wait(timeout=5) == 0


def test_the_gateway_notifies_ready_when_it_serves_and_ends_a_request_before_it_stops(
    start, database_url: str, systemd: NotificationSocket, tmp_path: Path, fake_upstream: FakeUpstream
) -> None:
    gateway = start_gateway(
        start, tmp_path, fake_upstream, database_url, NOTIFY_SOCKET=systemd.address, **_WATCHDOG
    )  # fmt: skip
    systemd.hear("READY=1")
    systemd.hear("WATCHDOG=1", within_seconds=5)
    fake_upstream.behave("hold", times=1)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(gateway.chat, "gpt")
        eventually(lambda: fake_upstream.state()["open"], what="the call of the provider")
        gateway.program.process.send_signal(signal.SIGTERM)
        systemd.hear("STOPPING=1", within_seconds=5)
        fake_upstream.release()
        assert answer.result().status == 200
    assert gateway.program.process.wait(timeout=20) == 0


def test_a_start_that_waits_for_the_database_asks_for_more_time(start, systemd: NotificationSocket) -> None:
    with embedded_folder() as folder:
        daemon = start(
            "centralcloud", "run", DATABASE_URL=f"postgresql:///routing?host={folder}", NOTIFY_SOCKET=systemd.address
        )
        for _ in range(2):
            systemd.hear("EXTEND_TIMEOUT_USEC=")
        assert "READY=1" not in systemd.heard
        daemon.process.send_signal(signal.SIGTERM)
        systemd.hear("STOPPING=1")
        assert daemon.process.wait(timeout=5) == 0


def test_the_library_sends_no_notification_for_its_router(
    database, systemd: NotificationSocket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the router knows when the router is ready."""
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    with InstanceAgent(AgentSettings(state_dir=tmp_path / "state"), database):
        pass
    assert not systemd.hears("", for_seconds=0.2)
