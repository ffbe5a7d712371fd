"""NOTIFY as a hint: a listener that wakes a loop early. Whoever waits must also poll, and works the same without it."""

from collections.abc import Callable
from typing import Final

import psycopg
from psycopg import sql

from centralcloud.runtime.connection import ANSWER_SECONDS, LimitedConnection
from centralcloud.runtime.database import Database
from centralcloud.runtime.loops import Part

_WAIT_SECONDS: Final = 0.5
#: How often a silent connection is asked whether it still lives.
_PROBE_EVERY_WAITS: Final = 40


class NotificationListener(Part):
    """Listens on one channel over a connection of its own and calls `on_notify` at each notification.

    Also calls it once after every (re)connection: what was sent while nobody listened is found by that run.
    Through a transaction pooler nothing ever arrives, and nothing but speed is lost.
    """

    def __init__(self, database: Database, channel: str, on_notify: Callable[[], None]) -> None:
        super().__init__(f"listener:{channel}", database, interval_seconds=0)
        self._channel = channel
        self._on_notify = on_notify
        self._connection: LimitedConnection | None = None
        self._silent_waits = 0

    def run_once(self) -> bool:
        try:
            if self._connection is None:
                self._connection = self.database.connect(autocommit=True)
                with self._connection.limited(ANSWER_SECONDS):
                    self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
                self._on_notify()
            notified = False
            for _ in self._connection.notifies(timeout=_WAIT_SECONDS, stop_after=1):
                notified = True
            if notified:
                self._silent_waits = 0
                self._on_notify()
            else:
                self._silent_waits += 1
                if self._silent_waits % _PROBE_EVERY_WAITS == 0:
                    with self._connection.limited(ANSWER_SECONDS):
                        self._connection.execute("SELECT 1")
        except psycopg.Error:
            self._disconnect()
            raise
        return True

    def on_stop(self) -> None:
        self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
