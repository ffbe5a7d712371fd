"""The slow path: ingests in small groups, then message by message, what the fast path cannot.

The fast path pops and ingests a batch in one transaction, so an attempt that fails leaves no trace. The slow path leases
the messages first (`pgmq.read`, committed separately): each attempt is counted in `read_ct`, even if it kills the
process. Messages that were not attempted before are leased as a group and ingested in one transaction; if that fails, one
by one. A message that was attempted before is leased alone, and the consumers of a process take turns. Otherwise the
attempt would count for other messages, too. The first attempt may have been that of a group, so it is never the last one.

A lease expires after `_LEASE_SECONDS`. The message is deleted only if its `read_ct` is still that of the lease: if another
worker has leased it since, nothing happens.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from itertools import accumulate, takewhile
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import ContractError
from centralcloud.contracts.limits import MAX_MESSAGE_BYTES
from centralcloud.contracts.routing_event import message_too_large
from centralcloud.ingest.batch import Message
from centralcloud.ingest.batch_ingest import (
    ONE_MESSAGE_LIMIT_SECONDS,
    BatchResult,
    BatchTooLargeError,
    ingest_messages,
    is_missing_partition,
    record_in_ledger,
)
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_out_of_memory, is_refusal, summarize_error
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.sequences import drew_a_used_number
from centralcloud.store.swallowed_rows import require_stored

log = get_logger(__name__)

#: A lease is far longer than its messages take (some milliseconds each), and short enough to wait for after a crash.
_LEASE_SECONDS: Final = 10
#: Messages of a group. One that kills the process leaves its others to be attempted one by one.
_MAX_LEASES: Final = 100
#: Most bytes of the texts of a group: not more than one message may have alone.
_MAX_GROUP_BYTES: Final = MAX_MESSAGE_BYTES
#: Text is longer than the stored form by some tenths, usually.
_MAX_STORED_BYTES: Final = _MAX_GROUP_BYTES // 2
_FIRST_BACKOFF_SECONDS: Final = 1.0
_LONGEST_BACKOFF_SECONDS: Final = 60.0

DEFAULT_MAX_ATTEMPTS: Final = 5


class Lease(NamedTuple):
    """A leased message at its `read_ct`-th attempt."""

    msg_id: int
    read_ct: int


class _WaitingMessage(NamedTuple):
    """A message in the queue: how often it was attempted, and about how many bytes it has in the end."""

    read_ct: int
    stored_bytes: int


class _DeletedMessage(NamedTuple):
    """A message that was removed from the queue.

    Attributes:
        text: None if the message is null, or if `size` is more than was asked for.
        size: bytes of its text; in a group, of all texts together.
    """

    msg_id: int
    enqueued_at: str
    text: str | None
    size: int | None
    now: datetime


class _StoredLetters(NamedTuple):
    """Messages that left the queue to become dead letters, 0 or 1, and the dead letters that are stored."""

    written: int
    stored: int


_LOCK_OLDEST_MESSAGES = Query(__package__, "lock_oldest_messages", row=_WaitingMessage)
_LEASE_MESSAGES = Query(__package__, "lease_messages", row=Lease)
_LEASE_RETRIED_MESSAGE = Query(__package__, "lease_retried_message", row=Lease)
_DELETE_LEASED_MESSAGE = Query(__package__, "delete_leased_message", row=_DeletedMessage)
_DELETE_LEASED_MESSAGES = Query(__package__, "delete_leased_messages", row=_DeletedMessage)
_DEAD_LETTER_MESSAGE = Query(__package__, "dead_letter_message", row=_StoredLetters)
_ARCHIVE_MESSAGE = Query(__package__, "archive_message", row=_StoredLetters)
_DEFER_MESSAGE = Query(__package__, "defer_message")
_RELEASE_LEASES = Query(__package__, "release_leases")


class SlowPath:
    """Ingests messages in groups, and those of a group that fails one by one.

    A message becomes a dead letter after `max_attempts` attempts without success, or two if it ends the process.

    The consumers of one process share it, and take turns.
    """

    def __init__(self, database: Database, *, max_attempts: int = DEFAULT_MAX_ATTEMPTS) -> None:
        self._database = database
        self._max_attempts = max_attempts
        self._held: list[Lease] = []
        self._one_by_one = 0
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
            if leased > 1 and not self._one_by_one and (group := self._ingest_group()) is not None:
                return group, leased
            while self._held:
                total = total.plus(self._ingest_one(self._held[0]))
                del self._held[0]
            self._one_by_one = max(0, self._one_by_one - leased)
            return total, leased

    def _release_leases(self) -> None:
        if not self._held:
            return
        with self._database.transaction() as connection:
            _RELEASE_LEASES.run(connection, self._leases())
        self._held = []

    def _leases(self) -> dict[str, list[int]]:
        return {
            "msg_ids": [lease.msg_id for lease in self._held],
            "read_cts": [lease.read_ct for lease in self._held],
        }

    def _lease(self, limit: int) -> list[Lease]:
        with self._database.transaction() as connection:
            oldest = _LOCK_OLDEST_MESSAGES.all(connection, {"count": limit})
            if not oldest:
                return []
            sizes = accumulate(message.stored_bytes for message in oldest)
            fitting = takewhile(
                lambda each: each[0].read_ct == 0 and each[1] <= _MAX_STORED_BYTES, zip(oldest, sizes, strict=True)
            )
            group = max(1, len(list(fitting)))
            return _LEASE_MESSAGES.all(connection, {"seconds": _LEASE_SECONDS, "count": group})

    def _lease_retried(self, among: int) -> list[Lease]:
        with self._database.transaction() as connection:
            return _LEASE_RETRIED_MESSAGE.all(connection, {"seconds": _LEASE_SECONDS, "among": among})

    def _ingest_group(self) -> BatchResult | None:
        """Ingest the leased messages in one transaction; None if the database, or memory, refuses one of them."""
        try:
            with self._database.transaction() as connection:
                deleted = _DELETE_LEASED_MESSAGES.all(connection, {**self._leases(), "max_bytes": _MAX_GROUP_BYTES})
                if deleted and (size := deleted[0].size or 0) > _MAX_GROUP_BYTES:
                    raise BatchTooLargeError(len(deleted), size)
                messages = [Message(each.msg_id, each.enqueued_at, each.text) for each in deleted]
                result = ingest_messages(connection, messages, now=deleted[0].now) if deleted else BatchResult()
        except (BatchTooLargeError, MemoryError, psycopg.Error) as error:
            if isinstance(error, psycopg.Error) and (is_missing_partition(error) or drew_a_used_number(error)):
                raise
            if isinstance(error, psycopg.Error) and not is_refusal(error) and not is_out_of_memory(error):
                # Most likely an outage; but a message that takes longer than a transaction may looks the same.
                self._one_by_one = len(self._held)
                raise
            log.warning("batch_isolated", messages=len(self._held), reason=summarize_error(error))
            return None
        self._held = []
        return result

    def _ingest_one(self, lease: Lease) -> BatchResult:
        most_attempts = max(self._max_attempts, 2)
        if lease.read_ct > most_attempts:
            reason = f"message: {most_attempts} attempts did not finish: it may kill its worker"
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
    """Make a leased message a dead letter. Return 1, or 0 if another worker has leased it since.

    Raises:
        RowsSwallowedError: the dead letter was not stored.
    """
    try:
        with connection.transaction():
            letters = _DEAD_LETTER_MESSAGE.one(connection, letter)
    except psycopg.Error as error:
        if not is_refusal(error) or drew_a_used_number(error):
            raise
        letters = _ARCHIVE_MESSAGE.one(connection, letter)
    require_stored("dead_letters", written=letters.written, stored=letters.stored)
    return letters.stored
