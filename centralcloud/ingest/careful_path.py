"""The careful path: message by message, for batches that the fast path cannot settle.

The fast path pops a batch and settles it in one transaction, which leaves no trace when it fails. Here the messages are
leased first (`pgmq.read`, committed on its own), so that each attempt is counted in `read_ct` even if it kills the process.
A message that has been attempted before is leased alone, and the consumers of a process take turns, or its neighbours would
be counted with it.

A lease runs out after `_LEASE_SECONDS`. Settling deletes the message only if its `read_ct` is still that of our lease:
should somebody else have leased it meanwhile, nothing happens.
"""

import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import ContractError
from centralcloud.contracts.names import MAX_MESSAGE_BYTES
from centralcloud.contracts.routing_event import message_too_large
from centralcloud.ingest.batch import Message
from centralcloud.ingest.settlement import (
    ONE_MESSAGE_LIMIT_SECONDS,
    Settled,
    is_missing_partition,
    keep_accounts,
    settle,
)
from centralcloud.runtime.database import Database, is_refusal, one_line
from centralcloud.runtime.logs import get_logger
from centralcloud.store import queries

log = get_logger(__name__)

_ATTEMPTS = queries.load("attempts_of_oldest_decisions")
_LEASE = queries.load("lease_decisions")
_LEASE_SUSPECT = queries.load("lease_attempted_decision")
_TAKE = queries.load("take_decision")
_PUT_ASIDE = queries.load("put_decision_aside")
_ARCHIVE = queries.load("archive_decision")
_PUT_OFF = queries.load("put_decision_off")
_GIVE_BACK = queries.load("give_decisions_back")

#: A lease is far longer than its messages take (some milliseconds each), and short enough to be waited for after a crash.
_LEASE_SECONDS: Final = 10
_LEASE_MESSAGES: Final = 100
_FIRST_BACKOFF_SECONDS: Final = 1.0
_LONGEST_BACKOFF_SECONDS: Final = 60.0

DEFAULT_MAX_ATTEMPTS: Final = 5


class Lease(NamedTuple):
    """A message that is ours for a while, at its `read_ct`-th attempt."""

    msg_id: int
    read_ct: int


class CarefulPath:
    """Settles messages one by one; what cannot be settled in `max_attempts` attempts becomes a dead letter.

    The consumers of one process share it, and wait for each other here.
    """

    def __init__(self, database: Database, *, max_attempts: int = DEFAULT_MAX_ATTEMPTS) -> None:
        self._database = database
        self._max_attempts = max_attempts
        self._held: list[Lease] = []
        self._turn = threading.Lock()

    def settle_suspect(self, among: int) -> tuple[Settled, int]:
        """As `settle`, for one message that was attempted before, of the `among` oldest ones. The others need no care."""
        return self._settle_leased(lambda: self._lease_suspect(among))

    def settle(self, limit: int) -> tuple[Settled, int]:
        """Lease at most `limit` messages and settle them.

        Returns:
            What became of them, and how many were leased: 0 when none is visible.

        Raises:
            psycopg.Error, DatabaseAwayError: an outage, or a missing partition. What was not settled is given back by the
                next call, and the attempt is not counted: neither says anything about a message.
        """
        return self._settle_leased(lambda: self._lease(min(limit, _LEASE_MESSAGES)))

    def give_back(self) -> None:
        """Make the messages that are still leased visible again."""
        with self._turn:
            self._give_back()

    def _settle_leased(self, lease: Callable[[], list[Lease]]) -> tuple[Settled, int]:
        with self._turn:
            self._give_back()
            self._held = lease()
            leased = len(self._held)
            total = Settled()
            while self._held:
                total = total.plus(self._settle_one(self._held[0]))
                del self._held[0]
            return total, leased

    def _give_back(self) -> None:
        if not self._held:
            return
        leases = {
            "msg_ids": [lease.msg_id for lease in self._held],
            "read_cts": [lease.read_ct for lease in self._held],
        }
        with self._database.transaction() as connection:
            connection.execute(_GIVE_BACK, leases)
        self._held = []

    def _lease(self, limit: int) -> list[Lease]:
        with self._database.transaction() as connection:
            attempts = [row[0] for row in connection.execute(_ATTEMPTS, {"count": limit})]
            if not attempts:
                return []
            untried = next((position for position, count in enumerate(attempts) if count > 0), len(attempts))
            rows = connection.execute(_LEASE, {"seconds": _LEASE_SECONDS, "count": max(1, untried)})
            return [Lease(*row) for row in rows]

    def _lease_suspect(self, among: int) -> list[Lease]:
        with self._database.transaction() as connection:
            return [
                Lease(*row) for row in connection.execute(_LEASE_SUSPECT, {"seconds": _LEASE_SECONDS, "among": among})
            ]

    def _settle_one(self, lease: Lease) -> Settled:
        if lease.read_ct > self._max_attempts:
            reason = f"message: attempted {self._max_attempts} times, and none came to an end: it may kill its worker"
            return self._put_aside(lease, reason, "message")
        try:
            return self._take_in(lease)
        except ContractError as error:
            return self._put_aside(lease, str(error), error.field)
        except psycopg.Error as error:
            if not is_refusal(error) or is_missing_partition(error):
                raise
            return self._refused(lease, error)

    def _take_in(self, lease: Lease) -> Settled:
        with self._database.transaction(limit_seconds=ONE_MESSAGE_LIMIT_SECONDS) as connection:
            row = connection.execute(_TAKE, {**lease._asdict(), "max_bytes": MAX_MESSAGE_BYTES}).fetchone()
            if row is None:
                return Settled()
            if row[3] is not None and row[3] > MAX_MESSAGE_BYTES:
                raise message_too_large(row[3])
            return settle(connection, [Message(*row[:3])], now=row[4])

    def _refused(self, lease: Lease, error: psycopg.Error) -> Settled:
        """Later again: what the database refuses today (a constraint, a migration on its way) it may take then."""
        reason = f"database: refused with SQLSTATE {error.sqlstate}: {one_line(error)}"
        if lease.read_ct >= self._max_attempts:
            return self._put_aside(lease, reason, "database")
        seconds = min(_FIRST_BACKOFF_SECONDS * 2 ** (lease.read_ct - 1), _LONGEST_BACKOFF_SECONDS)
        log.warning("message_put_off", **lease._asdict(), seconds=seconds, reason=reason)
        with self._database.transaction() as connection:
            connection.execute(_PUT_OFF, {**lease._asdict(), "seconds": seconds})
        return Settled()

    def _put_aside(self, lease: Lease, reason: str, field: str) -> Settled:
        letter = {**lease._asdict(), "reason": reason, "field": field}
        with self._database.transaction(limit_seconds=ONE_MESSAGE_LIMIT_SECONDS) as connection:
            settled = Settled(dead_letters=_write_dead_letter(connection, letter))
            keep_accounts(connection, settled)
        return settled


def _write_dead_letter(connection: psycopg.Connection[Any], letter: dict[str, Any]) -> int:
    """1, or 0 when the message is no longer ours."""
    try:
        with connection.transaction():
            return connection.execute(_PUT_ASIDE, letter).rowcount
    except psycopg.Error as error:
        if not is_refusal(error):
            raise
    return connection.execute(_ARCHIVE, letter).rowcount
