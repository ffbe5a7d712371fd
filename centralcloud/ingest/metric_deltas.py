"""The sums over the accepted events of a batch, for each pair, to be added to the lifetime counters.

Pure: no database. docs/reference/tables.md explains the counters.
"""

from dataclasses import dataclass, field

from centralcloud.ingest.batch import Deduplicated, ReceivedEvent

#: Length of `model_routing_metrics.response_times`. An array without a limit would make updates slow.
NEWEST_RESPONSE_TIMES = 100


@dataclass(slots=True)
class MetricDelta:
    """The amounts by which a batch increases the lifetime counters of one (model, complexity)."""

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
    """Return the changes to `model_routing_metrics` by pair, in sorted order."""
    rows: dict[Pair, MetricDelta] = {}
    for received in deduplicated.accepted:
        event = received.event
        pair = event.model, event.complexity
        row = rows.get(pair)
        if row is None:
            row = rows[pair] = MetricDelta()
        _count(row, received, deduplicated.first_of_decision)
        if (response_time := event.response_time_ms) is not None:
            row.newest_times.append(response_time)
        row.score, row.msg_id = event.complexity_score, received.msg_id
    for row in rows.values():
        row.times, row.times_sum = len(row.newest_times), sum(row.newest_times)
        del row.newest_times[:-NEWEST_RESPONSE_TIMES]
    return dict(sorted(rows.items()))


def _count(row: MetricDelta, received: ReceivedEvent, first_of_decision: set[int]) -> None:
    """Count the outcome and the usage: a decision counts once, by its id, else by the larger of routed and resolved."""
    event = received.event
    outcome = event.outcome
    if outcome == "routed":
        row.routed += 1
    elif outcome == "success":
        row.successes += 1
    elif event.blameless:
        row.blameless += 1
    else:
        row.failures += 1
    if event.decision_id is not None:
        row.linked_decisions += received.msg_id in first_of_decision
    elif outcome == "routed":
        row.unlinked_routed += 1
    else:
        row.unlinked_resolved += 1
