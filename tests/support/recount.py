"""An independent calculation of the result that CentralCloud should have for a list of events.

Written for clarity from docs/reference/specification.md, event by event, without any code of the product.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any


@dataclass
class Pair:
    """The counters of one (model, complexity)."""

    routed: int = 0
    success: int = 0
    failure: int = 0
    blameless: int = 0
    decisions_with_id: int = 0
    routed_without_id: int = 0
    resolved_without_id: int = 0
    times: list[int] = field(default_factory=list)
    times_of_outcomes: list[int] = field(default_factory=list)
    last_score: float = 0.0

    @property
    def usage(self) -> int:
        return self.decisions_with_id + max(self.routed_without_id, self.resolved_without_id)


@dataclass
class Recount:
    """All pairs, and the numbers of counted events and of duplicates."""

    pairs: dict[tuple[str, str], Pair]
    records: int
    duplicates: int


def recount(events: list[dict[str, Any]]) -> Recount:
    """Count valid events in the order in which they were sent."""
    pairs: dict[tuple[str, str], Pair] = defaultdict(Pair)
    known: dict[tuple[str, str], set[str]] = defaultdict(set)
    records = duplicates = 0
    for event in events:
        decision = event["routing_decision"]
        outcome = decision.get("outcome", "routed").lower()
        phase = "routed" if outcome == "routed" else "resolved"
        pair = pairs.get((decision["selected_model"], decision["complexity"].lower()))
        decision_id = decision.get("decision_id")
        if decision_id is not None:
            phases = known[event["instance_id"], decision_id]
            if phase in phases:
                duplicates += 1
                continue
            first = not phases
            phases.add(phase)
        if pair is None:
            pair = pairs[decision["selected_model"], decision["complexity"].lower()]
        records += 1
        if decision_id is not None:
            pair.decisions_with_id += first
        elif phase == "routed":
            pair.routed_without_id += 1
        else:
            pair.resolved_without_id += 1
        blameless = outcome == "failure" and decision.get("error_kind") in ("caller", "policy")
        if blameless:
            pair.blameless += 1
        else:
            setattr(pair, outcome, getattr(pair, outcome) + 1)
        if decision.get("response_time_ms") is not None:
            pair.times.append(round(decision["response_time_ms"]))
            if phase == "resolved" and not blameless:
                pair.times_of_outcomes.append(round(decision["response_time_ms"]))
        pair.last_score = decision["complexity_score"]
    return Recount(dict(pairs), records, duplicates)


def threshold_score(pair: Pair) -> Decimal | None:
    """Return the score after one evaluation by the specification's rule; None with too few outcomes."""
    outcomes = pair.success + pair.failure
    if outcomes < 100:
        return None
    score = Decimal(str(pair.last_score))
    score += Decimal("0.2") if Fraction(pair.success, outcomes) > Fraction(95, 100) else Decimal("-0.2")
    if pair.times_of_outcomes:
        mean = Fraction(sum(pair.times_of_outcomes), len(pair.times_of_outcomes))
        score += Decimal("-0.1") if mean > 2000 else Decimal("0.1")
    return max(Decimal(0), min(Decimal(5), score))
