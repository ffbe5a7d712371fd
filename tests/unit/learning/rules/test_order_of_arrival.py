"""The order in which outcomes of a slice arrive, late ones included, changes no score of any rule."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centralcloud.learning.evidence import Evidence, Pair, Sums
from centralcloud.learning.rule import Rule, RuleState
from centralcloud.learning.rules import AdaptiveRule, AdaptiveSettings, ThresholdRule, ThresholdSettings

_START = datetime(2026, 11, 20, tzinfo=UTC)
_LATENCY_REF_MS = 10_000
_COST_REF_USD = 0.0078125  # a power of two, as the costs are multiples of one: sums of them are exact


class Outcome(NamedTuple):
    """Some equal outcomes of one pair."""

    pair: Pair
    success: bool
    count: int
    time_ms: int | None
    cost_steps: int | None
    late: bool


_outcomes = st.builds(
    Outcome,
    pair=st.tuples(st.sampled_from("abc"), st.sampled_from(("simple", "medium", "complex"))),
    success=st.booleans(),
    count=st.integers(1, 60),
    time_ms=st.none() | st.integers(0, 30_000),
    cost_steps=st.none() | st.integers(0, 40),
    late=st.booleans(),
)
_slices = st.lists(st.lists(_outcomes, max_size=12), min_size=1, max_size=6)


def sums_of(outcomes: list[Outcome]) -> dict[Pair, Sums]:
    """Return the sums of a slice, added up in the order of arrival."""
    totals: dict[Pair, dict[str, float]] = defaultdict(lambda: dict.fromkeys(Sums.__dataclass_fields__, 0.0))
    for outcome in outcomes:
        added = {
            "outcomes": 1,
            "reward": outcome.success,
            "reward_squares": outcome.success,
            "timed": outcome.time_ms is not None,
            "response_time_ms": outcome.time_ms or 0,
            "latency": min(outcome.time_ms or 0, _LATENCY_REF_MS),
            "priced": outcome.cost_steps is not None,
            "cost": min((outcome.cost_steps or 0) / 1024, _COST_REF_USD) / _COST_REF_USD,
            "late": outcome.late,
        }
        for name, value in added.items():
            totals[outcome.pair][name] += value * outcome.count
    return {pair: Sums(**{**total, "latency": total["latency"] / _LATENCY_REF_MS}) for pair, total in totals.items()}


def scores(rule: Rule, slices: list[list[Outcome]]) -> list[dict[Pair, str]]:
    """Return the rule's scores after each slice, continued from its own state."""
    evidence, states, given_scores = Evidence(), dict[Pair, RuleState](), []
    for number, outcomes in enumerate(slices, start=1):
        evidence.append(number, _START + number * timedelta(minutes=1), sums_of(outcomes))
        result = rule.evaluate(evidence, states)
        states = result.states
        given_scores.append({score.pair: str(score.score) for score in result.scores})
    return given_scores


@pytest.mark.parametrize(
    "rule",
    [
        ThresholdRule(ThresholdSettings(min_samples=20)),
        AdaptiveRule(AdaptiveSettings(latency_weight=0.3, cost_weight=0.2)),
    ],
    ids=["threshold", "adaptive"],
)
@given(slices=_slices, data=st.data())
@settings(max_examples=200, deadline=None)
def test_the_order_of_arrival_within_a_slice_changes_no_score(
    rule: Rule, slices: list[list[Outcome]], data: st.DataObject
) -> None:
    shuffled = [data.draw(st.permutations(outcomes)) for outcomes in slices]
    assert scores(rule, shuffled) == scores(rule, slices)
