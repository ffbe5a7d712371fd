"""Sums over the accepted events of a batch: one row a pair, to be added to the lifetime counters.

Pure: no database. What the counters mean is in docs/reference/tables.md (design 2.4).
"""

from dataclasses import dataclass, field

from centralcloud.ingest.batch import Deduplicated, ReceivedEvent

#: `model_routing_metrics.response_times` keeps this many; the specification's ever-growing array makes updates slow.
NEWEST_RESPONSE_TIMES = 100


@dataclass(slots=True)
class MetricDelta:
    """What a batch adds to the lifetime counters of one (model, complexity)."""

    routed: int = 0
    successes: int = 0
    failures: int = 0
    blameless: int = 0
    linked_decisions: int = 0
    unlinked_routed: int = 0
    unlinked_resolved: int = 0
    times: int = 0
    times_sum: int = 0
    newest_times: list[int] = field(default_factory=list)
    score: float = 0.0
    msg_id: int = 0


#: (model, complexity)
Pair = tuple[str, str]


def metric_deltas(deduplicated: Deduplicated) -> dict[Pair, MetricDelta]:
    """Sums for `model_routing_metrics`, by pair in sorted order."""
    rows: dict[Pair, MetricDelta] = {}
    for received in deduplicated.accepted:
        event = received.event
        row = rows.get((event.model, event.complexity))
        if row is None:
            row = rows[event.model, event.complexity] = MetricDelta()
        _count(row, received, deduplicated.first_of_decision)
        if event.response_time_ms is not None:
            row.times += 1
            row.times_sum += event.response_time_ms
            row.newest_times.append(event.response_time_ms)
        row.score, row.msg_id = event.complexity_score, received.msg_id
    for row in rows.values():
        del row.newest_times[:-NEWEST_RESPONSE_TIMES]
    return dict(sorted(rows.items()))


def _count(row: MetricDelta, received: ReceivedEvent, first_of_decision: set[int]) -> None:
    """The outcome, and the use: a decision is used once, known by its id, or else by the greater of routed and resolved."""
    event = received.event
    if event.outcome == "routed":
        row.routed += 1
    elif event.outcome == "success":
        row.successes += 1
    elif event.blameless:
        row.blameless += 1
    else:
        row.failures += 1
    if event.decision_id is not None:
        row.linked_decisions += received.msg_id in first_of_decision
    elif event.outcome == "routed":
        row.unlinked_routed += 1
    else:
        row.unlinked_resolved += 1
