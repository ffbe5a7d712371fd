"""Repair sequences that a logical copy of the database has left behind their tables."""

from typing import Final

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store import sequences
from centralcloud.store.operator_actions import Action, Operator, record_action
from centralcloud.store.sequences import SequencePosition

_ACCEPT_SKIPPED_IDS = Query(__package__, "accept_skipped_ids", row=int)
_QUEUE: Final = "pgmq.q_model_routing_decisions"


def find_sequences_behind(database: Database) -> list[SequencePosition]:
    """Return the sequences that are behind their tables."""
    with database.transaction() as connection:
        return sequences.sequences_behind(connection, count_queue=True)


def repair_sequences(database: Database, operator: Operator) -> list[SequencePosition]:
    """Raise every sequence that is behind to the greatest number of its table. Ingest may run meanwhile, and waits briefly.
    The ids of the queue that this skips are known to be missing from then on.

    Returns:
        The sequences that were behind, as they were.
    """
    with database.transaction() as connection:
        repaired = sequences.repair_sequences(connection)
        for each in repaired:
            if each.table == _QUEUE:
                _ACCEPT_SKIPPED_IDS.one(connection, {"was_at": each.last_value, "raised_to": each.newest})
        if repaired:
            record_action(
                connection,
                operator,
                Action.REPAIR_SEQUENCES,
                "sequences",
                before={str(each.sequence): each.last_value for each in repaired},
                after={str(each.sequence): each.newest for each in repaired},
            )
    return repaired
