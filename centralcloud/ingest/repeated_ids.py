"""Decision ids that repeat: a counter that starts again with its program, or one constant for every decision.

An event with the id and the phase of an earlier one is left out as a resend. A resend is the same event, so a record with
its time and its values exists; for an event of another decision there is none. Such events are lost, but not in silence.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts.errors import quote
from centralcloud.contracts.json_text import encode_array
from centralcloud.contracts.limits import OTHER
from centralcloud.ingest.batch import OWN_TIME, REPEATED_DECISION_ID, IgnoredValues, ReceivedEvent
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.swallowed_rows import require_stored

log = get_logger(__name__)

#: Duplicates of a batch that are compared: enough to notice, and cheap where a producer sends thousands of events again.
_MOST_COMPARED: Final = 50
#: In the JSON of an event that was ingested at its arrival, whose time is not that of its record.
_OWN_TIME_KEY: Final = f'"{OWN_TIME}"'.encode()


class _Contradiction(NamedTuple):
    """The columns of ``contradicting_duplicates.sql``."""

    position: int
    known: bool


_CONTRADICTING_DUPLICATES = Query(__package__, "contradicting_duplicates", row=_Contradiction)


def find_repeated_ids(connection: psycopg.Connection[Any], duplicates: Sequence[ReceivedEvent]) -> list[IgnoredValues]:
    """Return how many of `duplicates` are not a resend, for the count of ignored values; nothing if all are.

    Compares 50 at most. The events that the transaction accepts must be recorded before.

    Raises:
        RowsSwallowedError: ids of decisions were not stored, so that their events look like duplicates.
    """
    compared = [each for each in duplicates if _OWN_TIME_KEY not in (each.extra or b"")][:_MOST_COMPARED]
    if not compared:
        return []
    events = [each.event for each in compared]
    columns: dict[str, list[Any]] = {
        "instance_ids": [each.instance_id for each in events],
        "decision_ids": [each.decision_id for each in events],
        "timestamps": [each.timestamp.isoformat() for each in events],
        "outcomes": [each.outcome for each in events],
        "models": [each.model for each in events],
        "response_times": [each.response_time_ms for each in events],
    }
    parameters = {**{name: encode_array(values) for name, values in columns.items()}, "other": OTHER}
    found = _CONTRADICTING_DUPLICATES.all(connection, parameters)
    known = [each for each in found if each.known]
    require_stored("decision_ids", written=len(found), stored=len(known))
    if not known:
        return []
    event = events[known[-1].position - 1]
    example = f"decision_id: {quote(event.decision_id)}"
    effect = "left out as resends, and not counted"
    log.warning(
        "decision_ids_repeated", count=len(known), instance_id=event.instance_id, example=example, effect=effect
    )
    return [IgnoredValues(REPEATED_DECISION_ID, len(known), example, event.instance_id)]
