"""Repair sequences that a logical copy of the database has left behind their tables."""

from centralcloud.runtime.postgres.database import Database
from centralcloud.store import sequences
from centralcloud.store.operator_actions import Action, Operator, record_action
from centralcloud.store.sequences import SequencePosition


def find_sequences_behind(database: Database) -> list[SequencePosition]:
    """Return the sequences that are behind their tables."""
    with database.transaction() as connection:
        return sequences.sequences_behind(connection, count_queue=True)


def repair_sequences(database: Database, operator: Operator) -> list[SequencePosition]:
    """Raise every sequence that is behind to the greatest number of its table. Ingest may run meanwhile, and waits briefly.

    Returns:
        The sequences that were behind, as they were.
    """
    with database.transaction() as connection:
        repaired = sequences.repair_sequences(connection)
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
