"""Shed load: remove old messages from the queue of routing events."""

from datetime import datetime
from typing import Final, NamedTuple

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.operator_actions import Action, Operator, record_action
from centralcloud.store.queue import read_queue_counters


class _Page(NamedTuple):
    last_msg_id: int | None
    purged: int


class OldMessages(NamedTuple):
    """The messages that a purge would remove now.

    Attributes:
        counted: how many there are among the messages that were counted.
        complete: whether every message of the queue was counted; otherwise there are at least `counted`.
    """

    counted: int
    complete: bool


NO_MESSAGES: Final = OldMessages(counted=0, complete=True)
_COUNT_OLD = Query(__package__, "count_old_messages", row=OldMessages)
_PURGE_PAGE = Query(__package__, "purge_page", row=_Page)
#: Messages in one transaction: ingest waits for it only briefly.
_PAGE_SIZE: Final = 10_000
#: Messages that are counted before a person is asked: less than a second.
_COUNTED: Final = 1_000_000


def count_old(database: Database, *, before: datetime, at_most: int = _COUNTED) -> OldMessages:
    """Count the messages that were sent before a moment, among the `at_most` oldest ones of the queue."""
    with database.transaction() as connection:
        return _COUNT_OLD.one(connection, {"before": before, "at_most": at_most})


def purge(database: Database, operator: Operator, *, before: datetime) -> int:
    """Remove the messages that were sent before a moment, without ingesting them, and count them as purged.

    One transaction, and one row of the log, for up to 10,000 messages: the log of an interrupted purge is true, too.

    Returns:
        How many were removed.
    """
    purged = 0
    after: int | None = 0
    with database.transaction() as connection:
        newest = read_queue_counters(connection).sent  # messages that arrive meanwhile are not old
    while after is not None and after < newest:
        with database.transaction() as connection:
            page = _PURGE_PAGE.one(connection, {"after": after, "before": before, "page_size": _PAGE_SIZE})
            if page.purged:
                done = {"purged": page.purged, "sent_before": before.isoformat(), "through_msg_id": page.last_msg_id}
                record_action(connection, operator, Action.PURGE_QUEUE, "queue", after=done)
        after = page.last_msg_id
        purged += page.purged
    return purged
