"""The exchange of spend with the database: one report and its answer at a time, in a thread of its own."""

import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask

#: NOTIFY channel: other gateways need what this one has leased; the payload is the meter.
SPEND_CHANNEL: Final = "centralcloud_spend"
#: How long the leases of a process count without a word of it; then they count as spent.
LEASE_SECONDS: Final = 60.0
#: Longest exchange. After it the report is sent again: the database counts it once.
_LIMIT_SECONDS: Final = 5.0

_EXCHANGE: Final = Query(__package__, "exchange_spend", row=dict)


class MeterSpend(NamedTuple):
    """A limit in its current period, as the whole fleet has used it. In nano-USD, requests or tokens.

    Attributes:
        estimated: part of `spent`.
        leased: held by gateways; part of it is spent already, and reported within seconds.
        written_off: leases of gateways that do not answer: counts as spent.
    """

    meter: str
    unit: str
    limit_amount: int
    spent: int
    estimated: int
    leased: int
    written_off: int
    period_start: datetime
    period_end: datetime
    alerted_at: datetime | None

    @property
    def remaining(self) -> int:
        """The amount that can still be spent; 0 where the limit was passed."""
        return max(0, self.limit_amount - self.spent - self.written_off)


_CURRENT: Final = Query(__package__, "current_spend", row=MeterSpend)


def read_spend(connection: psycopg.Connection[Any], meters: Sequence[str]) -> list[MeterSpend]:
    """Read what is used of limits, such as ``budget/fleet:daily``; a meter without a limit has no row."""
    return _CURRENT.all(connection, {"meters": list(meters)})


class _Report(NamedTuple):
    number: int
    body: str
    on_answer: Callable[[dict[str, Any]], object]


class SpendExchange(BackgroundTask):
    """Sends reports to the database. `send` and `notified` return at once, from any thread.

    A report whose answer was lost is sent again with the same number until there is an answer: the database counts it once.

    Attributes:
        up: whether the newest attempt reached the database.
        sent: exchanges since the start.
        seconds: how long the newest one took.
        on_down: called in the task's thread when an exchange fails.
    """

    def __init__(self, database: Database, *, instance_id: str) -> None:
        super().__init__("spend-exchange", database, interval_seconds=None)
        self.may_degrade = True
        self.longest_run_seconds = _LIMIT_SECONDS
        self.up = True
        self.sent = 0
        self.seconds = 0.0
        self.on_down: Callable[[], object] | None = None
        self._instance_id = instance_id
        #: A restart makes a new one: the leases of the last process are not those of this one.
        self._process = uuid.uuid4().hex
        self._number = 0
        self._report: _Report | None = None

    def send(self, body: str, on_answer: Callable[[dict[str, Any]], object]) -> None:
        """Send a report; `on_answer` is called in the task's thread. One at a time: the next one after the answer."""
        if self._report is not None:
            raise RuntimeError("found a report that waits for its answer, expected one at a time")
        self._number += 1
        self._report = _Report(self._number, body, on_answer)
        self.wake()

    def run_once(self) -> bool:
        """Send the report that waits."""
        report = self._report
        self.uses_database = report is not None
        if report is None:
            return False
        began = time.monotonic()
        values = {
            "instance": self._instance_id,
            "process": self._process,
            "number": report.number,
            "report": report.body,
        }
        try:
            with self.database.connection(limit_seconds=_LIMIT_SECONDS) as connection:
                (answer,) = _EXCHANGE.one(connection, values).values()
        except BaseException:
            self.up = False
            if self.on_down is not None:
                self.on_down()
            raise
        self.seconds = time.monotonic() - began
        self.up = True
        self.sent += 1
        self._report = None
        report.on_answer(answer)
        return False
