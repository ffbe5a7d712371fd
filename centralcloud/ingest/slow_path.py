"""The slow path: ingests message by message what the fast path cannot.

The fast path pops and ingests a batch in one transaction, so an attempt that fails leaves no trace. The slow path leases
the messages first (`pgmq.read`, committed separately): each attempt is counted in `read_ct`, even if it kills the
process. It leases a message that was attempted before alone, and the consumers of a process take turns. Otherwise the
attempt would count for other messages, too.

A lease expires after `_LEASE_SECONDS`. The message is deleted only if its `read_ct` is still that of the lease: if another
worker has leased it since, nothing happens.
"""

import threading
from collections.abc import Callable
from datetime import datetime
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
from centralcloud.store.sequences import drew_a_used_number

log = get_logger(__name__)

#: A lease is far longer than its messages take (some milliseconds each), and short enough to wait for after a crash.
_LEASE_SECONDS: Final = 10
_MAX_LEASES: Final = 100
_FIRST_BACKOFF_SECONDS: Final = 1.0
_LONGEST_BACKOFF_SECONDS: Final = 60.0

DEFAULT_MAX_ATTEMPTS: Final = 5


class Lease(NamedTuple):
    """A leased message at its `read_ct`-th attempt."""

    msg_id: int
    read_ct: int


class _DeletedMessage(NamedTuple):
    """A message that was removed from the queue. `text` is None if it is larger than a message may be, or null."""

    msg_id: int
    enqueued_at: str
    text: str | None
    size: int | None
    now: datetime


_LOCK_OLDEST_MESSAGES = Query(__package__, "lock_oldest_messages", row=int)
_LEASE_MESSAGES = Query(__package__, "lease_messages", row=Lease)
_LEASE_RETRIED_MESSAGE = Query(__package__, "lease_retried_message", row=Lease)
_DELETE_LEASED_MESSAGE = Query(__package__, "delete_leased_message", row=_DeletedMessage)
_DEAD_LETTER_MESSAGE = Query(__package__, "dead_letter_message")
_ARCHIVE_MESSAGE = Query(__package__, "archive_message")
_DEFER_MESSAGE = Query(__package__, "defer_message")
_RELEASE_LEASES = Query(__package__, "release_leases")


class SlowPath:
    """Ingests messages one by one. A message becomes a dead letter after `max_attempts` attempts without success.

    The consumers of one process share it, and take turns.
    """

    def __init__(self, database: Database, *, max_attempts: int = DEFAULT_MAX_ATTEMPTS) -> None:
        self._database = database
        self._max_attempts = max_attempts
        self._held: list[Lease] = []
        self._turn = threading.Lock()

    def ingest_retried(self, among: int) -> tuple[BatchResult, int]:
        """Do as `ingest` does, for one message that was attempted before among the `among` oldest ones."""
        return self._ingest_leased(lambda: self._lease_retried(among))

    def ingest(self, limit: int) -> tuple[BatchResult, int]:
        """Lease at most `limit` messages and ingest them.

        Returns:
            The result, and how many messages were leased: 0 when none is visible.

        Raises:
            psycopg.Error, DatabaseUnavailableError: an outage, or a missing partition. The next call releases the remaining
                leases. Their attempts do not count, because the error was not caused by a message.
        """
        return self._ingest_leased(lambda: self._lease(min(limit, _MAX_LEASES)))

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
            _RELEASE_LEASES.run(connection, leases)
        self._held = []

    def _lease(self, limit: int) -> list[Lease]:
        with self._database.transaction() as connection:
            attempts = _LOCK_OLDEST_MESSAGES.all(connection, {"count": limit})
            if not attempts:
                return []
            untried = next((position for position, count in enumerate(attempts) if count > 0), len(attempts))
            return _LEASE_MESSAGES.all(connection, {"seconds": _LEASE_SECONDS, "count": max(1, untried)})

    def _lease_retried(self, among: int) -> list[Lease]:
        with self._database.transaction() as connection:
            return _LEASE_RETRIED_MESSAGE.all(connection, {"seconds": _LEASE_SECONDS, "among": among})

    def _ingest_one(self, lease: Lease) -> BatchResult:
        if lease.read_ct > self._max_attempts:
            reason = f"message: {self._max_attempts} attempts did not finish: it may kill its worker"
            return self._dead_letter(lease, reason, "message")
        try:
            return self._ingest_message(lease)
        except ContractError as error:
            return self._dead_letter(lease, str(error), error.field)
        except psycopg.Error as error:
            if not is_refusal(error) or is_missing_partition(error) or drew_a_used_number(error):
                raise
            return self._defer(lease, error)

    def _ingest_message(self, lease: Lease) -> BatchResult:
        parameters = {**lease._asdict(), "max_bytes": MAX_MESSAGE_BYTES}
        with self._database.transaction(limit_seconds=ONE_MESSAGE_LIMIT_SECONDS) as connection:
            deleted = _DELETE_LEASED_MESSAGE.maybe(connection, parameters)
            if deleted is None:  # another worker has leased it since
                return BatchResult()
            if deleted.size is not None and deleted.size > MAX_MESSAGE_BYTES:
                raise message_too_large(deleted.size)
            message = Message(deleted.msg_id, deleted.enqueued_at, deleted.text)
            return ingest_messages(connection, [message], now=deleted.now)

    def _defer(self, lease: Lease, error: psycopg.Error) -> BatchResult:
        """Retry later: the database may accept the message then (after a migration, or without a constraint)."""
        reason = f"database: refused with SQLSTATE {error.sqlstate}: {summarize_error(error)}"
        if lease.read_ct >= self._max_attempts:
            return self._dead_letter(lease, reason, "database")
        seconds = min(_FIRST_BACKOFF_SECONDS * 2 ** (lease.read_ct - 1), _LONGEST_BACKOFF_SECONDS)
        log.warning("message_retry_scheduled", **lease._asdict(), seconds=seconds, reason=reason)
        with self._database.transaction() as connection:
            _DEFER_MESSAGE.run(connection, {**lease._asdict(), "seconds": seconds})
        return BatchResult()

    def _dead_letter(self, lease: Lease, reason: str, field: str) -> BatchResult:
        letter = {**lease._asdict(), "reason": reason, "field": field}
        with self._database.transaction(limit_seconds=ONE_MESSAGE_LIMIT_SECONDS) as connection:
            result = BatchResult(dead_letters=_write_dead_letter(connection, letter))
            if result.messages:
                record_in_ledger(connection, result, [lease.msg_id])
        return result


def _write_dead_letter(connection: psycopg.Connection[Any], letter: dict[str, Any]) -> int:
    """Make a leased message a dead letter. Return 1, or 0 if another worker has leased it since."""
    try:
        with connection.transaction():
            return _DEAD_LETTER_MESSAGE.run(connection, letter)
    except psycopg.Error as error:
        if not is_refusal(error) or drew_a_used_number(error):
            raise
    return _ARCHIVE_MESSAGE.run(connection, letter)
