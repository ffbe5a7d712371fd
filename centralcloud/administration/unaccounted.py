"""Messages that are unaccounted for: their ids were drawn from the queue, and they are nowhere."""

import re
import time
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.message_ledger import LedgerMissingError
from centralcloud.store.operator_actions import Action, Operator, record_action
from centralcloud.store.queue import read_newest_id

_SENDS_IN_PROGRESS = Query(__package__, "sends_in_progress", row=str)
_RECOUNT_MESSAGE_IDS = Query(__package__, "recount_message_ids", row=dict)
_LIST_MISSING_IDS = Query(__package__, "list_missing_ids", row=dict)
_ACCEPT_MISSING_IDS = Query(__package__, "accept_missing_ids")
#: Sends take milliseconds. One that takes longer than this looks like a message that is nowhere.
_SEND_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02
_LISTED_RANGES: Final = 100
_DEFAULT_SHARE: Final = 0.001
#: A crash or a failover skips up to 32 ids: PostgreSQL logs a sequence 32 values ahead.
_SMALLEST_LIMIT: Final = 40
#: For one start of the server since the last verification, beside what is always accepted.
_IDS_OF_A_RESTART: Final = 33


class MissingIds(NamedTuple):
    """Neighbouring ids that are nowhere.

    Attributes:
        after, before: when the neighbours on both sides were ingested, or sent if they are still queued; None: unknown.
    """

    first_id: int
    last_id: int
    after: datetime | None
    before: datetime | None


class Unaccounted(NamedTuple):
    """The ids that were drawn since the last accepted verification, or before it, and have become missing since.

    Attributes:
        number: how many ids are nowhere. Sends that were rolled back look the same.
        drawn: how many ids were drawn since.
        since: when that verification was; None: there was none.
        ranges: the newest ranges of missing ids, at most 100.
        more_ranges: how many more there are.
        ids_drawn: the newest id.
        missing: all of them, as an int8multirange.
        balance: ids drawn in all, less those that are accounted for by number.
        restarted: whether the server has started since that verification, or else since the database was created.
    """

    number: int
    drawn: int
    since: datetime | None
    ranges: list[MissingIds]
    more_ranges: int
    ids_drawn: int
    missing: str
    balance: int
    restarted: bool

    @property
    def span(self) -> tuple[int, int] | None:
        """The first and the last id of all that are missing; None without any."""
        if not self.number:
            return None
        bounds = re.findall(r"\d+", self.missing)  # of a multirange such as {[1,3),[7,8)}
        return int(bounds[0]), int(bounds[-1]) - 1

    def limit(self, chosen: int | None = None) -> int:
        """Return the number up to which a verification accepts.

        `chosen`, else 0.1% of the ids drawn, at least 40, and 33 more if the server has started since the last verification.
        """
        if chosen is not None:
            return chosen
        return max(_SMALLEST_LIMIT, int(_DEFAULT_SHARE * self.drawn)) + (_IDS_OF_A_RESTART if self.restarted else 0)


def read_ids_drawn(database: Database) -> int:
    """Return the newest id of the queue, once every transaction that may have drawn up to it has ended.

    A send that takes longer than 10 seconds is not waited for.
    """
    with database.transaction() as connection:
        ids_drawn = read_newest_id(connection)
    deadline = time.monotonic() + _SEND_SECONDS
    in_progress: set[str] | None = None
    while in_progress is None or (in_progress and time.monotonic() < deadline):
        if in_progress:
            time.sleep(_POLL_SECONDS)
        with database.transaction() as connection:
            now = set(_SENDS_IN_PROGRESS.all(connection))
        in_progress = now if in_progress is None else in_progress & now
    return ids_drawn


def count_unaccounted(connection: psycopg.Connection[Any], ids_drawn: int, ledger: dict[str, int]) -> Unaccounted:
    """Return the ids up to `ids_drawn` that are nowhere, in the snapshot of the connection's transaction.

    Args:
        ids_drawn: read before the snapshot was taken, by `read_ids_drawn`.
        ledger: the row of ``recount_ledger.sql`` in the same snapshot.
    """
    found = _RECOUNT_MESSAGE_IDS.maybe(connection, {"ids_drawn": ids_drawn})
    if found is None:
        raise LedgerMissingError
    rows = []
    if found["missing"] != "{}":
        rows = _LIST_MISSING_IDS.all(connection, {"missing": found["missing"], "limit": _LISTED_RANGES})
    by_id = rows[0]["number"] if rows else 0
    accounted = ledger["taken"] + ledger["purged"] + ledger["queued"]
    # Both are upper bounds: workers of earlier versions do not store ids, and only the numbers contain ids that were drawn
    # since the snapshot was taken.
    number = max(0, min(by_id, ledger["ids_drawn"] - accounted - found["verified_unaccounted"]))
    ranges = [MissingIds(row["first_id"], row["last_id"], row["after"], row["before"]) for row in rows]
    return Unaccounted(
        number=number,
        drawn=max(0, ids_drawn - found["verified_ids"]),
        since=found["verified_at"],
        ranges=ranges if number else [],
        more_ranges=rows[0]["ranges"] - len(rows) if number else 0,
        ids_drawn=ids_drawn,
        missing=found["missing"],
        balance=max(0, ids_drawn - accounted),  # the sequence may be behind
        restarted=found["restarted"],
    )


def accept(database: Database, unaccounted: Unaccounted, operator: Operator | None = None) -> None:
    """Store the position of a verification: later ones do not report these ids again.

    Args:
        operator: the operator who accepts more of them than the limit, for the log of operators' actions.
    """
    with database.transaction(limit_seconds=None) as connection:
        values = {
            "ids_drawn": unaccounted.ids_drawn,
            "unaccounted": unaccounted.balance,
            "missing": unaccounted.missing,
        }
        _ACCEPT_MISSING_IDS.run(connection, values)
        if operator is not None:
            accepted = [[each.first_id, each.last_id] for each in unaccounted.ranges]
            record_action(
                connection,
                operator,
                Action.REPAIR,
                "unaccounted messages",
                after={"number": unaccounted.number, "newest_ranges": accepted},
            )
