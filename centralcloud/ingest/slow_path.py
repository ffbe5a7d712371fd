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
from centralcloud.contracts.limits import MAX_MESSAGE_BYTES
from centralcloud.contracts.routing_event import message_too_large
from centralcloud.ingest.batch import Message
from centralcloud.ingest.batch_ingest import (
    ONE_MESSAGE_LIMIT_SECONDS,
    BatchResult,
    ingest_messages,
    is_missing_partition,
    record_in_ledger,
)
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_refusal, summarize_error
from centralcloud.runtime.postgres.query import Query

log = get_logger(__name__)

_ATTEMPTS = Query(__package__, "attempts_of_oldest_messages")
_LEASE = Query(__package__, "lease_messages")
_LEASE_RETRIED = Query(__package__, "lease_retried_message")
_TAKE = Query(__package__, "delete_leased_message")
_DEAD_LETTER = Query(__package__, "dead_letter_message")
_ARCHIVE = Query(__package__, "archive_message")
_DEFER = Query(__package__, "defer_message")
_RELEASE = Query(__package__, "release_leases")

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


class SlowPath:
    """Settles messages one by one; what cannot be settled in `max_attempts` attempts becomes a dead letter.

    The consumers of one process share it, and wait for each other here.
    """

    def __init__(self, database: Database, *, max_attempts: int = DEFAULT_MAX_ATTEMPTS) -> None:
        self._database = database
        self._max_attempts = max_attempts
        self._held: list[Lease] = []
        self._turn = threading.Lock()

    def ingest_retried(self, among: int) -> tuple[BatchResult, int]:
        """As `settle`, for one message that was attempted before, of the `among` oldest ones. The others need no care."""
        return self._ingest_leased(lambda: self._lease_retried(among))

    def ingest(self, limit: int) -> tuple[BatchResult, int]:
        """Lease at most `limit` messages and settle them.

        Returns:
            What became of them, and how many were leased: 0 when none is visible.

        Raises:
            psycopg.Error, DatabaseUnavailableError: an outage, or a missing partition. What was not settled is given back by the
                next call, and the attempt is not counted: neither says anything about a message.
        """
        return self._ingest_leased(lambda: self._lease(min(limit, _LEASE_MESSAGES)))

    def release_leases(self) -> None:
        """Make the messages that are still leased visible again."""
        with self._turn:
            self._release_leases()

    def _ingest_leased(self, lease: Callable[[], list[Lease]]) -> tuple[BatchResult, int]:
        with self._turn:
            self._release_leases()
            self._held = lease()
            leased = len(self._held)
            total = BatchResult()
            while self._held:
                total = total.plus(self._ingest_one(self._held[0]))
                del self._held[0]
            return total, leased

    def _release_leases(self) -> None:
        if not self._held:
            return
        leases = {
            "msg_ids": [lease.msg_id for lease in self._held],
            "read_cts": [lease.read_ct for lease in self._held],
        }
        with self._database.transaction() as connection:
            connection.execute(_RELEASE.text, leases)
        self._held = []

    def _lease(self, limit: int) -> list[Lease]:
        with self._database.transaction() as connection:
            attempts = [row[0] for row in connection.execute(_ATTEMPTS.text, {"count": limit})]
            if not attempts:
                return []
            untried = next((position for position, count in enumerate(attempts) if count > 0), len(attempts))
            rows = connection.execute(_LEASE.text, {"seconds": _LEASE_SECONDS, "count": max(1, untried)})
            return [Lease(*row) for row in rows]

    def _lease_retried(self, among: int) -> list[Lease]:
        with self._database.transaction() as connection:
            return [
                Lease(*row)
                for row in connection.execute(_LEASE_RETRIED.text, {"seconds": _LEASE_SECONDS, "among": among})
            ]

    def _ingest_one(self, lease: Lease) -> BatchResult:
        if lease.read_ct > self._max_attempts:
            reason = f"message: attempted {self._max_attempts} times, and none came to an end: it may kill its worker"
            return self._dead_letter(lease, reason, "message")
        try:
            return self._store_events(lease)
        except ContractError as error:
            return self._dead_letter(lease, str(error), error.field)
        except psycopg.Error as error:
            if not is_refusal(error) or is_missing_partition(error):
                raise
            return self._defer(lease, error)

    def _store_events(self, lease: Lease) -> BatchResult:
        with self._database.transaction(limit_seconds=ONE_MESSAGE_LIMIT_SECONDS) as connection:
            row = connection.execute(_TAKE.text, {**lease._asdict(), "max_bytes": MAX_MESSAGE_BYTES}).fetchone()
            if row is None:
                return BatchResult()
            if row[3] is not None and row[3] > MAX_MESSAGE_BYTES:
                raise message_too_large(row[3])
            return ingest_messages(connection, [Message(*row[:3])], now=row[4])

    def _defer(self, lease: Lease, error: psycopg.Error) -> BatchResult:
        """Later again: what the database refuses today (a constraint, a migration on its way) it may take then."""
        reason = f"database: refused with SQLSTATE {error.sqlstate}: {summarize_error(error)}"
        if lease.read_ct >= self._max_attempts:
            return self._dead_letter(lease, reason, "database")
        seconds = min(_FIRST_BACKOFF_SECONDS * 2 ** (lease.read_ct - 1), _LONGEST_BACKOFF_SECONDS)
        log.warning("message_retry_scheduled", **lease._asdict(), seconds=seconds, reason=reason)
        with self._database.transaction() as connection:
            connection.execute(_DEFER.text, {**lease._asdict(), "seconds": seconds})
        return BatchResult()

    def _dead_letter(self, lease: Lease, reason: str, field: str) -> BatchResult:
        letter = {**lease._asdict(), "reason": reason, "field": field}
        with self._database.transaction(limit_seconds=ONE_MESSAGE_LIMIT_SECONDS) as connection:
            result = BatchResult(dead_letters=_write_dead_letter(connection, letter))
            record_in_ledger(connection, result)
        return result


def _write_dead_letter(connection: psycopg.Connection[Any], letter: dict[str, Any]) -> int:
    """1, or 0 when the message is no longer ours."""
    try:
        with connection.transaction():
            return connection.execute(_DEAD_LETTER.text, letter).rowcount
    except psycopg.Error as error:
        if not is_refusal(error):
            raise
    return connection.execute(_ARCHIVE.text, letter).rowcount
