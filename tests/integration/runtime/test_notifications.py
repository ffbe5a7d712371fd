"""The listener for notifications, on a real server."""

from collections import Counter

from support.servers import execute
from support.waiting import eventually

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
