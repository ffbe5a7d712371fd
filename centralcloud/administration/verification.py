"""Showing that nothing was lost and nothing counted twice: the accounts add up, and every aggregate equals a recount."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.message_ledger import LedgerMissingError

_ACCOUNTS = Query(__package__, "recount_ledger")
_MESSAGES = Query(__package__, "recount_messages")
_METRICS = Query(__package__, "recount_metrics")
_EVIDENCE = Query(__package__, "recount_evidence")
_LOCK_MAINTENANCE = Query(__package__, "lock_maintenance")
_ENSURE_ACCOUNTS = """
    INSERT INTO accounting DEFAULT VALUES ON CONFLICT DO NOTHING;
    INSERT INTO learning_control DEFAULT VALUES ON CONFLICT DO NOTHING
"""
_REPAIR_ACCOUNTS = Query(__package__, "repair_ledger")
_REPAIR_METRICS = Query(__package__, "repair_metrics")
_REPAIR_LAST_REPORTED = Query(__package__, "repair_last_reported")
_REPAIR_RESPONSE_TIMES = Query(__package__, "repair_response_times")
_FORGET_EMPTY_METRICS = Query(__package__, "delete_empty_metrics")
_PUT_EVIDENCE = Query(__package__, "upsert_evidence")
_FORGET_EVIDENCE = Query(__package__, "delete_evidence")
_TOUCH_EVIDENCE = Query(__package__, "bump_evidence_generation")

_LAST_REPORTED = ("last_reported_score", "last_reported_msg_id")
_NEWEST_TIMES = "newest_response_times"


class Difference(NamedTuple):
    """A stored value that is not what the records say.

    Attributes:
        table: where it is stored.
        key: which row; empty for the accounts.
        stored, recounted: the columns that differ, on both sides; None when that side has no such row.
    """

    table: str
    key: dict[str, Any]
    stored: dict[str, Any] | None
    recounted: dict[str, Any] | None


class Verification(NamedTuple):
    """What a verification found.

    Attributes:
        accounts: what has become of every message: sent = records + duplicates + dead_letters_open, _replayed and
            _discarded + purged + queued; records = records_kept + records_dropped.
    """

    accounts: dict[str, int]
    differences: list[Difference]

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


class _Recount(NamedTuple):
    """Everything as of one moment."""

    accounts: dict[str, int]
    messages: list[dict[str, Any]]
    metrics: list[dict[str, Any]]
    evidence: list[dict[str, Any]]


def verify(database: Database) -> Verification:
    """Recount every aggregate from the records, and what retention has dropped. Ingest goes on meanwhile.

    One snapshot, which reads all records: minutes for tens of millions. While it lasts, vacuum cannot clean up the queue.
    """
    recount = _recount(database)
    return Verification(_accounts_of(recount.accounts), list(_differences(recount)))


def repair(database: Database) -> Verification:
    """As `verify`, and make every aggregate what the recount says. Ingest goes on: what differs is added, not overwritten.

    A message that was recorded twice is not repaired.

    Returns:
        What was found, before the repair.
    """
    with database.transaction() as connection:
        connection.execute(_ENSURE_ACCOUNTS)
    with database.transaction(limit_seconds=None) as connection:
        # The recount takes its time, and so may a round of maintenance that is under way.
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = 0")
        connection.execute(_LOCK_MAINTENANCE.text)
        recount = _recount(database)
        for row in recount.metrics:
            _repair_metrics(connection, row)
        connection.execute(_FORGET_EMPTY_METRICS.text)
        for row in recount.evidence:
            if row["recount"] is None:
                connection.execute(_FORGET_EVIDENCE.text, row["key"])
            else:
                connection.execute(_PUT_EVIDENCE.text, row["recount"])
        if recount.evidence:
            connection.execute(_TOUCH_EVIDENCE.text)
        connection.execute(_REPAIR_ACCOUNTS.text, _account_corrections(recount.accounts))
    return Verification(_accounts_of(recount.accounts), list(_differences(recount)))


def _recount(database: Database) -> _Recount:
    with database.transaction(limit_seconds=None) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # Before the snapshot is taken: a partition that is dropped after it would be in neither place.
        connection.execute("LOCK TABLE routing_records IN ACCESS SHARE MODE")
        with connection.cursor(row_factory=dict_row) as cursor:
            accounts = cursor.execute(_ACCOUNTS.text).fetchone()
            if accounts is None:
                raise LedgerMissingError
            return _Recount(
                accounts,
                cursor.execute(_MESSAGES.text).fetchall(),
                cursor.execute(_METRICS.text).fetchall(),
                cursor.execute(_EVIDENCE.text).fetchall(),
            )


def _accounts_of(counts: dict[str, int]) -> dict[str, int]:
    return {
        "sent": counts["taken"] + counts["purged"] + counts["queued"],
        "records": counts["records"],
        "records_kept": counts["records_kept"],
        "records_dropped": counts["records_dropped"],
        "duplicates": counts["duplicates"],
        "dead_letters_open": counts["dead_letters_open"],
        "dead_letters_replayed": counts["dead_letters_replayed"],
        "dead_letters_discarded": counts["dead_letters_discarded"],
        "purged": counts["purged"],
        "queued": counts["queued"],
    }


def _account_corrections(counts: dict[str, int]) -> dict[str, int]:
    """What is to be added to the accounts so that they agree with the tables."""
    records = counts["records_kept"] + counts["records_dropped"]
    dead_letters = counts["dead_letters_open"] + counts["dead_letters_replayed"] + counts["dead_letters_discarded"]
    return {
        "taken": records + counts["duplicates"] + dead_letters - counts["taken"],
        "records": records - counts["records"],
        "dead_letters": dead_letters - counts["dead_letters"],
    }


def _differences(recount: _Recount) -> Iterator[Difference]:
    counts = recount.accounts
    for name, correction in _account_corrections(counts).items():
        if correction:
            yield Difference("accounting", {}, {name: counts[name]}, {name: counts[name] + correction})
    sent = counts["taken"] + counts["purged"] + counts["queued"]
    if sent > counts["ids_drawn"]:
        yield Difference("accounting", {}, {"sent": sent}, {"sent": counts["ids_drawn"]})
    for row in recount.messages:
        key = {"msg_id": row["msg_id"]}
        yield Difference("routing_records", key, {"records": row["records"]}, {"records": 1})
    for table, rows in (("model_routing_metrics", recount.metrics), ("evidence", recount.evidence)):
        for row in rows:
            yield _difference(table, row)


def _difference(table: str, row: dict[str, Any]) -> Difference:
    stored, recounted = row["stored"], row["recount"]
    if stored is not None and recounted is not None:
        names = [name for name in stored if stored[name] != recounted[name]]
        stored, recounted = ({name: side[name] for name in names} for side in (stored, recounted))
    return Difference(table, row["key"], stored, recounted)


def _repair_metrics(connection: psycopg.Connection[Any], row: dict[str, Any]) -> None:
    stored, recounted = row["stored"] or {}, row["recount"] or {}
    names = (stored or recounted).keys() - row["key"].keys() - {*_LAST_REPORTED, _NEWEST_TIMES}
    corrections = {name: recounted.get(name, 0) - stored.get(name, 0) for name in names}
    values = {
        **row["key"],
        **corrections,
        **{name: recounted.get(name) for name in _LAST_REPORTED},
        "stored_msg_id": stored.get("last_reported_msg_id"),
    }
    connection.execute(_REPAIR_METRICS.text, values)
    connection.execute(_REPAIR_LAST_REPORTED.text, values)
    if stored.get(_NEWEST_TIMES) != recounted.get(_NEWEST_TIMES):
        connection.execute(_REPAIR_RESPONSE_TIMES.text, row["key"])
