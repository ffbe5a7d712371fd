"""The exchange of the health of targets with other gateways: sends reports, claims leases, and reads what others report.

It keeps no file and no cursor, unlike the followers of scores and of the configuration: what it reads expires within
minutes, is small, and is read as a whole. Notifications start a read sooner, polling is the guarantee. Nothing waits for it:
without the database each gateway goes by what it sees itself.
"""

import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import psycopg

from centralcloud.contracts.target_health import MAX_KEY_LENGTH, MAX_REPORTS, ReportedHealth, ReportKind, TargetReport
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask

_REPORT: Final = Query(__package__, "report_target_health", row=int)
_READ: Final = Query(__package__, "current_target_health", row=ReportedHealth)
_CLAIM: Final = Query(__package__, "claim_target_leases", row=str)

#: Between two reads that notifications start, in seconds: a storm of them costs a bounded rate.
_READ_PAUSE: Final = 0.25
#: Between two reports about one target, in seconds; the newest state is sent then.
_REPORT_PAUSE: Final = 1.0

#: Called in the task's thread with the leases that are held; None: there was no answer.
OnClaimed = Callable[[frozenset[str] | None], object]


class _Claim(NamedTuple):
    names: Sequence[str]
    seconds: float
    on_claimed: OnClaimed


class HealthExchange(BackgroundTask):
    """Exchanges the health of targets. `report` and `claim` return at once, from any thread.

    Attributes:
        up: whether the last run reached the database.
        sent: reports that were sent since the start.
        on_read: called in the task's thread with all reports that count, after each read.
    """

    def __init__(self, database: Database, *, instance_id: str, poll_interval_seconds: float = 5.0) -> None:
        """Create it; `instance_id`: under which this gateway reports and holds leases."""
        super().__init__("health-exchange", database, interval_seconds=poll_interval_seconds)
        self.may_degrade = True
        self.up = False
        self.sent = 0
        self.on_read: Callable[[list[ReportedHealth]], object] | None = None
        self._instance_id = instance_id
        self._poll_seconds = poll_interval_seconds
        self._lock = threading.Lock()
        self._reports: dict[tuple[ReportKind, str], TargetReport] = {}
        self._sent_at: dict[tuple[ReportKind, str], float] = {}
        self._claims: list[_Claim] = []
        self._read_at = float("-inf")
        self._notified = False

    def report(self, report: TargetReport) -> None:
        """Send a report soon; of several about one target within a second, the newest."""
        if len(report.key) > MAX_KEY_LENGTH:
            return
        with self._lock:
            if len(self._reports) < MAX_REPORTS or (report.kind, report.key) in self._reports:
                self._reports[report.kind, report.key] = report
        self.wake()

    def claim(self, names: Sequence[str], seconds: float, on_claimed: OnClaimed) -> None:
        """Acquire or renew leases for `seconds` from now, or shorten them to that."""
        with self._lock:
            self._claims.append(_Claim(names, seconds, on_claimed))
        self.wake()

    def notified(self) -> None:
        """Read soon: another gateway has reported something."""
        self._notified = True
        self.wake()

    def run_once(self) -> bool:
        """Claim leases, send the reports that are due, and read when a read is due."""
        with self._lock:
            claims, self._claims = self._claims, []
        try:
            with self.database.connection() as connection:
                while claims:
                    self._claim(connection, claims[0])
                    del claims[0]
                self._send(connection)
                if self._read_due_at() <= time.monotonic():
                    self._read(connection)
        except BaseException:
            self.up = False
            for each in claims:
                each.on_claimed(None)
            raise
        self.up = True
        self.interval_seconds = self._seconds_until_due()
        return False

    def on_stop(self) -> None:
        """Answer the claims that no run will take."""
        self.up = False
        with self._lock:
            claims, self._claims = self._claims, []
        for each in claims:
            each.on_claimed(None)

    def _claim(self, connection: psycopg.Connection, claim: _Claim) -> None:
        held: set[str] = set()
        for start in range(0, len(claim.names), MAX_REPORTS):
            names = list(claim.names[start : start + MAX_REPORTS])
            held.update(_CLAIM.all(connection, {"holder": self._instance_id, "names": names, "seconds": claim.seconds}))
        claim.on_claimed(frozenset(held))

    def _send(self, connection: psycopg.Connection) -> None:
        now = time.monotonic()
        self._sent_at = {key: at for key, at in self._sent_at.items() if at + _REPORT_PAUSE > now}
        with self._lock:
            due = [self._reports.pop(key) for key in list(self._reports) if key not in self._sent_at]
        if not due:
            return
        body = json.dumps([each._asdict() for each in due])
        try:
            _REPORT.one(connection, {"reporter": self._instance_id, "reports": body})
        except BaseException:
            with self._lock:  # a newer state of the same target has precedence
                self._reports = {(each.kind, each.key): each for each in due} | self._reports
            raise
        self.sent += len(due)
        self._sent_at.update({(each.kind, each.key): now for each in due})

    def _read(self, connection: psycopg.Connection) -> None:
        self._notified = False
        found = _READ.all(connection)
        self._read_at = time.monotonic()
        if self.on_read is not None:
            self.on_read(found)

    def _read_due_at(self) -> float:
        return self._read_at + (_READ_PAUSE if self._notified else self._poll_seconds)

    def _seconds_until_due(self) -> float:
        """Return the time until the next run, unless it is woken."""
        now = time.monotonic()
        with self._lock:
            waiting = [self._sent_at.get(key, now) + _REPORT_PAUSE for key in self._reports]
        return max(0.0, min([self._read_due_at(), *waiting]) - now)
