"""NOTIFY as a hint: a listener that wakes a task early. The task must also poll: it has to work without notifications."""

import random
import time
from collections.abc import Callable, Mapping
from typing import Final

import psycopg
from psycopg import Notify, sql

from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.deadline_connection import ANSWER_SECONDS, DeadlineConnection
from centralcloud.runtime.postgres.errors import summarize_error
from centralcloud.runtime.process.background import BackgroundTask

log = get_logger(__name__)

_WAIT_SECONDS: Final = 0.5
#: Part by which a wait is longer or shorter. The probe of one listener spares the others theirs, because they receive it;
#: with equal waits all of them would send one at the same moment after it, and each would wake all.
_WAIT_JITTER: Final = 0.25
#: Payload that a listener sends to itself. Listeners of other processes receive it, too, and ignore it.
_PROBE: Final = "probe"
#: How long a probe waits for the commits of other notifications, in the server: shorter than this client waits for it. A
#: session that its client has given up would wait on, and each reconnection would leave another one behind.
_PROBE_LOCK_MILLISECONDS: Final = 2000
#: A probe that has not arrived by then is lost.
_PROBE_PATIENCE_WAITS: Final = 10
#: How often a quiet connection is tested.
_PROBE_EVERY_WAITS: Final = 40
#: A connection that was lost sooner than this, and the one before it too, is ended by a rule of the server or a pooler (an
#: idle_session_timeout, for example): then the next one waits, twice as long each time.
_SHORT_LIFE_SECONDS: Final = 60.0
_LONGEST_PAUSE_SECONDS: Final = 60.0


class NotificationListener(BackgroundTask):
    """Listens on channels over one connection of its own, and makes the call of a channel at each notification on it.

    One connection for all: the server wakes each session that listens, in a transaction, for the notifications of every
    channel. Also makes every call once after each (re)connection, for what was sent meanwhile. Through a transaction pooler
    nothing ever arrives, and only speed is lost. Now and then it notifies itself, which shows whether the connection works.
    Where the server ends each connection after a short time, it reconnects ever more seldom; meanwhile there is polling.

    Attributes:
        working: whether notifications arrive; None: not known yet.
        on_working: called with the connection each time that notifications have arrived over it.
        on_payload: for some channels, what to call with the payload of each notification, before the call without it.
    """

    def __init__(self, database: Database, calls: Mapping[str, Callable[[], None]]) -> None:
        """Do not connect yet; `calls`: for each channel what to call, at least one."""
        super().__init__("listener", database, interval_seconds=0, connections=0)
        self._calls = dict(calls)
        self._channels = ", ".join(self._calls)
        self._connection: DeadlineConnection | None = None
        self._silent_waits = 0
        self._awaits_probe = False
        self._probed_at = 0
        self._opened_at = 0.0
        self._pause_seconds = 0.0
        self.working: bool | None = None
        self.on_working: Callable[[DeadlineConnection], None] | None = None
        self.on_payload: dict[str, Callable[[str], None]] = {}

    def run_once(self) -> bool:
        try:
            if self._connection is None:
                self._connection = self.database.connect(autocommit=True)
                self._opened_at = time.monotonic()
                with self._connection.limited(ANSWER_SECONDS):
                    listens = [sql.SQL("LISTEN {}").format(sql.Identifier(each)) for each in self._calls]
                    self._connection.execute(sql.SQL("; ").join(listens))
                for call in self._calls.values():
                    call()
                self._send_probe(self._connection)
            wait_seconds = _WAIT_SECONDS * random.uniform(1 - _WAIT_JITTER, 1 + _WAIT_JITTER)
            self._handle([*self._connection.notifies(timeout=wait_seconds, stop_after=1)], self._connection)
        except psycopg.Error as error:
            lost = self._connection is not None
            self._disconnect()
            if not lost or not self._is_ended_by_rule(error):
                raise
        return True

    def _is_ended_by_rule(self, error: psycopg.Error) -> bool:
        """Wait, and return True, when this connection and the one before it were lost soon after they were opened."""
        if time.monotonic() - self._opened_at >= _SHORT_LIFE_SECONDS:
            self._pause_seconds = 0.0
            return False
        if not self._pause_seconds:
            self._pause_seconds = 1.0
            return False
        if self._pause_seconds == 1.0:
            log.warning(
                "notifications_interrupted",
                channels=self._channels,
                reason=summarize_error(error),
                effect="polling, and fewer attempts to listen",
            )
        self.interval_seconds = self._pause_seconds  # for the heartbeat, which must not be too old
        self.pause(self._pause_seconds)
        self.interval_seconds = 0.0
        self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)
        return True

    def on_stop(self) -> None:
        self._disconnect()

    def _handle(self, notifications: list[Notify], connection: DeadlineConnection) -> None:
        if notifications:
            self.working = True
            self._awaits_probe = False
            self._silent_waits = 0
            received = [each for each in notifications if not each.payload.startswith(_PROBE)]
            for each in received:
                if (call := self.on_payload.get(each.channel)) is not None:
                    call(each.payload)
            for channel in dict.fromkeys(each.channel for each in received):
                self._calls[channel]()
            if self.on_working is not None:
                self.on_working(connection)
            return
        self._silent_waits += 1
        if self._awaits_probe and self._silent_waits - self._probed_at >= _PROBE_PATIENCE_WAITS:
            if self.working is not False:
                log.warning("notifications_do_not_arrive", channels=self._channels, effect="polling only")
            self.working = False
            self._awaits_probe = False
        if self._silent_waits % _PROBE_EVERY_WAITS == 0:
            self._send_probe(connection)

    def _send_probe(self, connection: DeadlineConnection) -> None:
        try:
            with connection.limited(ANSWER_SECONDS):
                connection.execute(
                    "SELECT set_config('lock_timeout', %s, true), pg_notify(%s, %s)",
                    (f"{_PROBE_LOCK_MILLISECONDS}ms", next(iter(self._calls)), _PROBE),
                )
        except psycopg.errors.LockNotAvailable as error:
            # Commits with a NOTIFY wait for each other, and one of them waits for a synchronous standby.
            log.info("notification_probe_deferred", channels=self._channels, reason=summarize_error(error))
            return
        self._awaits_probe = True
        self._probed_at = self._silent_waits

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self.working = None
