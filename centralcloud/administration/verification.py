"""Verification: every message is accounted for, and every aggregate equals a recount of the records."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.administration.unaccounted import Unaccounted, count_unaccounted, read_ids_drawn
from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.history import HistoryChangedError, read_epoch
from centralcloud.store.message_ledger import LedgerMissingError
from centralcloud.store.operator_actions import Action, Operator, record_action

_RECOUNT_LEDGER = Query(__package__, "recount_ledger", row=dict)
_RECOUNT_MESSAGES = Query(__package__, "recount_messages", row=dict)
_RECOUNT_DECISIONS = Query(__package__, "recount_decisions", row=dict)
_RECOUNT_METRICS = Query(__package__, "recount_metrics", row=dict)
_RECOUNT_EVIDENCE = Query(__package__, "recount_evidence", row=dict)
_RECOUNT_TASK_EVIDENCE = Query(__package__, "recount_task_evidence", row=dict)
_EVENTS_COUNTED = Query(__package__, "events_counted", row=dict)
_DETACHED_PARTITIONS = Query(__package__, "detached_partitions", row=str)
_LOCK_MAINTENANCE = Query(__package__, "lock_maintenance")
_INSERT_ONLY_ROWS = Query(__package__, "insert_only_rows")
_REPAIR_LEDGER = Query(__package__, "repair_ledger")
_REPAIR_METRICS = Query(__package__, "repair_metrics")
_REPAIR_LAST_REPORTED = Query(__package__, "repair_last_reported")
_REPAIR_RESPONSE_TIMES = Query(__package__, "repair_response_times")
_DELETE_EMPTY_METRICS = Query(__package__, "delete_empty_metrics")
_UPSERT_EVIDENCE = Query(__package__, "upsert_evidence")
_DELETE_EVIDENCE = Query(__package__, "delete_evidence")
_UPSERT_TASK_EVIDENCE = Query(__package__, "upsert_task_evidence")
_DELETE_TASK_EVIDENCE = Query(__package__, "delete_task_evidence")
_BUMP_EVIDENCE_GENERATION = Query(__package__, "bump_evidence_generation")
#: Differences that a repair writes to the log of operators' actions in full; it counts the others.
_LOGGED_DIFFERENCES: Final = 50

#: A repair that would forget a larger share of the events is not what an operator expects.
_LARGEST_LOSS: Final = 0.5
_EVENTS: Final = {
    "model_routing_metrics": ("routed_count", "success_count", "failure_count", "blameless_count"),
    "evidence": ("routed", "successes", "failures", "blameless"),
}

_LAST_REPORTED = ("last_reported_score", "last_reported_msg_id")
_NEWEST_TIMES = "newest_response_times"


class DetachedRecordsError(CentralCloudError):
    """Records are missing that a detached partition may have: a repair would forget them."""

    def __init__(self, tables: list[str]) -> None:
        super().__init__(
            f"found fewer records than were ingested, and tables that may have them: {', '.join(tables)}. "
            "Nothing was repaired: give them back first "
            f"(INSERT INTO routing_records OVERRIDING SYSTEM VALUE TABLE {tables[0]}), then drop or rename the table"
        )


class LargeLossError(CentralCloudError):
    """A repair would forget more than half of the events: the records may be elsewhere, or hidden."""

    def __init__(self, losses: list[str]) -> None:
        super().__init__(
            f"a repair would forget {' and '.join(losses)}, as the records lack them: if records were moved or are to be "
            "restored, give them back first"
        )


class Difference(NamedTuple):
    """A stored value that a recount of the records does not confirm.

    Attributes:
        table: where it is stored.
        key: which row; empty for the ledger.
        stored, recounted: the columns that differ, on both sides; None when that side lacks the row.
    """

    table: str
    key: dict[str, Any]
    stored: dict[str, Any] | None
    recounted: dict[str, Any] | None


class Verification(NamedTuple):
    """The result of a verification.

    Attributes:
        ledger: the number of messages by outcome: sent = records + duplicates + dead_letters_open, _replayed and
            _discarded + purged + queued; records = records_kept + records_dropped.
        unaccounted: messages that are nowhere. The ledger cannot miss them: it counts what has left the queue.
    """

    ledger: dict[str, int]
    differences: list[Difference]
    unaccounted: Unaccounted

    @property
    def ok(self) -> bool:
        """Whether nothing differs; `unaccounted` has a limit of its own."""
        return not self.differences


class _Recount(NamedTuple):
    """The recount of every aggregate, as of one moment."""

    epoch: str
    ledger: dict[str, int]
    unaccounted: Unaccounted
    messages: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    metrics: list[dict[str, Any]]
    evidence: list[dict[str, Any]]
    task_evidence: list[dict[str, Any]]


def verify(database: Database) -> Verification:
    """Recount every aggregate from the records and from the sums of dropped ones. Ingest may run meanwhile.

    One snapshot, which reads all records: minutes for tens of millions. While it lasts, vacuum cannot clean up the queue.
    """
    recount = _recount(database)
    return Verification(_ledger_counts(recount.ledger), list(_differences(recount)), recount.unaccounted)


def repair(database: Database, operator: Operator, *, accept_loss: bool = False) -> Verification:
    """Verify, and correct every aggregate. Ingest may run meanwhile: each counter is corrected by its difference.

    A message or a decision that was recorded twice is not repaired.

    Args:
        accept_loss: also where more than half of the events would be forgotten.

    Returns:
        The differences that were found, before the repair.

    Raises:
        DetachedRecordsError: records are missing, and a detached partition may have them.
        LargeLossError: more than half of the events would be forgotten, and `accept_loss` does not allow it.
        HistoryChangedError: the recount was made in another history of the database than the one to repair.
    """
    with database.transaction() as connection:
        _INSERT_ONLY_ROWS.run(connection)
    with database.transaction(limit_seconds=None) as connection:
        # The recount takes its time, and so may a round of maintenance that is in progress.
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = 0")
        _LOCK_MAINTENANCE.run(connection)
        recount = _recount(database)
        if (epoch := read_epoch(connection)) != recount.epoch:
            raise HistoryChangedError(
                f"the recount is of the history {recount.epoch}, and the repair would change {epoch}: nothing was changed"
            )
        if _ledger_corrections(recount.ledger)["records"] < 0 and (tables := _DETACHED_PARTITIONS.all(connection)):
            raise DetachedRecordsError(tables)
        if not accept_loss and (losses := _large_losses(connection, recount)):
            raise LargeLossError(losses)
        for row in recount.metrics:
            _repair_metrics(connection, row)
        _DELETE_EMPTY_METRICS.run(connection)
        _correct(connection, recount.evidence, _DELETE_EVIDENCE, _UPSERT_EVIDENCE)
        _correct(connection, recount.task_evidence, _DELETE_TASK_EVIDENCE, _UPSERT_TASK_EVIDENCE)
        if recount.evidence or recount.task_evidence:
            _BUMP_EVIDENCE_GENERATION.run(connection)
        _REPAIR_LEDGER.run(connection, _ledger_corrections(recount.ledger))
        differences = list(_differences(recount))
        _record_repair(connection, operator, differences)
    return Verification(_ledger_counts(recount.ledger), differences, recount.unaccounted)


def _correct(
    connection: psycopg.Connection[Any], rows: list[dict[str, Any]], delete: Query[Any], upsert: Query[Any]
) -> None:
    for row in rows:
        if row["recount"] is None:
            delete.run(connection, row["key"])
        else:
            upsert.run(connection, row["recount"])


def _large_losses(connection: psycopg.Connection[Any], recount: _Recount) -> list[str]:
    """Return how many events a repair would take from ledger, metrics and evidence, where that is a large share.

    Aggregates that count more than the ledger has recorded are not a loss when they are corrected.
    """
    counted, recorded = _EVENTS_COUNTED.one(connection), recount.ledger["records"]
    losses = [
        ("message ledger", -_ledger_corrections(recount.ledger)["records"], recorded),
        ("metrics", _events_lost("model_routing_metrics", recount.metrics), counted["metrics"]),
        ("evidence", _events_lost("evidence", recount.evidence), counted["evidence"]),
    ]
    return [
        f"{lost:,} of {events:,} events of the {name}"
        for name, lost, events in losses
        if lost > _LARGEST_LOSS * events and events - lost < (1 - _LARGEST_LOSS) * recorded
    ]


def _events_lost(table: str, rows: list[dict[str, Any]]) -> int:
    """Return how many events fewer the recount has, over all rows that differ."""

    def events(side: dict[str, Any] | None) -> int:
        return sum(side[name] for name in _EVENTS[table]) if side else 0

    return sum(events(row["stored"]) - events(row["recount"]) for row in rows)


def _record_repair(connection: psycopg.Connection[Any], operator: Operator, differences: list[Difference]) -> None:
    if not differences:
        return
    logged = [each._asdict() for each in differences[:_LOGGED_DIFFERENCES]]
    rows = json.loads(json.dumps(logged, default=str))  # sums of money and times as text
    keys = ("table", "key")
    record_action(
        connection,
        operator,
        Action.REPAIR,
        "aggregates",
        before={
            "differences": dict(Counter(each.table for each in differences)),
            "rows": [{name: row[name] for name in (*keys, "stored")} for row in rows],
        },
        after={"rows": [{name: row[name] for name in (*keys, "recounted")} for row in rows]},
    )


def _recount(database: Database) -> _Recount:
    ids_drawn = read_ids_drawn(database)
    with database.transaction(limit_seconds=None) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # Before the snapshot is taken: a partition that is dropped after it would be in neither place.
        connection.execute("LOCK TABLE public.routing_records IN ACCESS SHARE MODE")
        ledger = _RECOUNT_LEDGER.maybe(connection)
        if ledger is None:
            raise LedgerMissingError
        return _Recount(
            read_epoch(connection),
            ledger,
            count_unaccounted(connection, ids_drawn, ledger),
            _RECOUNT_MESSAGES.all(connection),
            _RECOUNT_DECISIONS.all(connection),
            _RECOUNT_METRICS.all(connection),
            _RECOUNT_EVIDENCE.all(connection),
            _RECOUNT_TASK_EVIDENCE.all(connection),
        )


def _ledger_counts(counts: dict[str, int]) -> dict[str, int]:
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


def _ledger_corrections(counts: dict[str, int]) -> dict[str, int]:
    """Return the difference of each counter of the ledger to the tables."""
    records = counts["records_kept"] + counts["records_dropped"]
    dead_letters = counts["dead_letters_open"] + counts["dead_letters_replayed"] + counts["dead_letters_discarded"]
    return {
        "taken": records + counts["duplicates"] + dead_letters - counts["taken"],
        "records": records - counts["records"],
        "dead_letters": dead_letters - counts["dead_letters"],
    }


def _differences(recount: _Recount) -> Iterator[Difference]:
    counts = recount.ledger
    for name, correction in _ledger_corrections(counts).items():
        if correction:
            yield Difference("accounting", {}, {name: counts[name]}, {name: counts[name] + correction})
    sent = counts["taken"] + counts["purged"] + counts["queued"]
    if sent > counts["ids_drawn"]:
        yield Difference("accounting", {}, {"sent": sent}, {"sent": counts["ids_drawn"]})
    for row in recount.messages:
        key = {"msg_id": row["msg_id"]}
        yield Difference("routing_records", key, {"records": row["records"]}, {"records": 1})
    for row in recount.decisions:
        key = {"instance_id": row["instance_id"], "first_decision_id": row["decision_id"]}
        yield Difference("decision_ids", key, {"records": row["records"]}, {"records": row["expected"]})
    aggregates = {
        "model_routing_metrics": recount.metrics,
        "evidence": recount.evidence,
        "task_evidence": recount.task_evidence,
    }
    for table, rows in aggregates.items():
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
    _REPAIR_METRICS.run(connection, values)
    _REPAIR_LAST_REPORTED.run(connection, values)
    if stored.get(_NEWEST_TIMES) != recounted.get(_NEWEST_TIMES):
        _REPAIR_RESPONSE_TIMES.run(connection, row["key"])
