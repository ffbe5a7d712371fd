"""The notification protocol of systemd."""

import os
import uuid

import pytest
from support.service_manager import a_service_manager

from centralcloud.runtime.process.systemd import ServiceManager


def test_without_a_service_manager_nothing_is_sent() -> None:
    manager = ServiceManager({"WATCHDOG_USEC": "3000000"})
    assert manager.heartbeat_seconds is None
    manager.ready()
    manager.heartbeat([])
    manager.stopping()


@pytest.mark.parametrize(
    ("environment", "heartbeat_seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_reset_three_times_within_its_timeout(
    environment: dict[str, str], heartbeat_seconds: float | None
) -> None:
    assert ServiceManager({"NOTIFY_SOCKET": "@nowhere", **environment}).heartbeat_seconds == heartbeat_seconds


def test_notifications_follow_the_protocol() -> None:
    address = f"@centralcloud-{uuid.uuid4().hex}"
    with a_service_manager(address) as systemd:
        manager = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"})
        manager.waiting("waiting for the database", 60)
        systemd.hear("EXTEND_TIMEOUT_USEC=60000000")
        manager.ready()
        systemd.hear("READY=1")
        manager.heartbeat([])
        systemd.hear("WATCHDOG=1")
        manager.heartbeat(["learner: last heartbeat 661 seconds ago, limit 660"])
        systemd.hear("STATUS=learner")
        manager.heartbeat(["learner: last heartbeat 661 seconds ago, limit 660"])
        assert not systemd.hears("", for_seconds=0.1), "it repeats nothing"
        manager.heartbeat([])
        systemd.hear("WATCHDOG=1")
        manager.stopping()
        systemd.hear("STOPPING=1")


def test_without_a_watchdog_only_the_status_is_sent() -> None:
    address = f"@centralcloud-{uuid.uuid4().hex}"
    with a_service_manager(address) as systemd:
        manager = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"})
        manager.heartbeat([])
        systemd.hear("STATUS=running")
        manager.heartbeat(["learner: last heartbeat 661 seconds ago, limit 660"])
        systemd.hear("STATUS=learner")
        assert not any(line.startswith("WATCHDOG") for line in systemd.heard)


def test_a_service_manager_that_is_gone_does_not_end_the_program() -> None:
    ServiceManager({"NOTIFY_SOCKET": "@centralcloud-no-listener"}).ready()
