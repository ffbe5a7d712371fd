"""The listener for notifications, on a real server."""

from collections import Counter

import psycopg
import pytest
from support.servers import execute
from support.waiting import eventually

from centralcloud.runtime.postgres import notifications
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.notifications import NotificationListener

_SESSIONS = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE '%pg_notify%' AND pid <> pg_backend_pid()
"""


def test_one_connection_listens_on_every_channel(database: Database, database_url: str) -> None:
    calls: Counter[str] = Counter()
    listener = NotificationListener(database, {name: lambda name=name: calls.update([name]) for name in ("one", "two")})
    listener.start()
    try:
        eventually(lambda: listener.working, what="its own notification")
        assert calls == {"one": 1, "two": 1}, "once for what was sent before it listened"
        execute(database_url, "NOTIFY two")
        eventually(lambda: calls["two"] == 2)
        assert calls["one"] == 1

        ((pid,),) = execute(database_url, _SESSIONS)
        execute(database_url, "SELECT pg_terminate_backend(%s)", (pid,))
        eventually(lambda: calls["one"] == 2 and calls["two"] == 3, what="every call after the next connection")
    finally:
        listener.stop()
        assert listener.join(10)


def test_the_listeners_of_a_fleet_do_not_all_test_their_connections_at_once(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each probe wakes every listener: one of them in each time of silence is enough for all."""
    monkeypatch.setattr(notifications, "_PROBE_EVERY_WAITS", 5)
    monkeypatch.setattr(notifications, "_WAIT_SECONDS", 0.2)
    listeners = [NotificationListener(database, {"fleet": lambda: None}) for _ in range(10)]
    with psycopg.connect(database_url, autocommit=True) as observer:
        observer.execute("LISTEN fleet")
        for listener in listeners:
            listener.start()
        try:
            eventually(lambda: all(listener.working for listener in listeners), what="their first notifications")
            list(observer.notifies(timeout=0.3))
            probes = len(list(observer.notifies(timeout=3)))
        finally:
            for listener in listeners:
                listener.stop()
            assert all(listener.join(10) for listener in listeners)
    assert 1 <= probes <= 10, "3 times of silence, each with far less than a probe of each of 10 listeners"
