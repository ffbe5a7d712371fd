"""A pair of the adaptive rule after a change of its model that was told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from centralcloud.learning.evidence import Evidence, ModelChange, Sums
from centralcloud.learning.rule import RuleResult
from centralcloud.learning.rules import AdaptiveRule

PAIR = ("m", "complex")
OTHER = ("n", "complex")
START = datetime(2026, 11, 20, 9, tzinfo=UTC)
CHANGE = ModelChange(change_id=7, after_slice=10, version_before="a", version_after="b", instance_id="i-1")


def evidence(slices: int, *changes: ModelChange, excluded: frozenset[str] = frozenset()) -> Evidence:
    """Return slices of 100 outcomes: 90 succeed through slice 10, and 80 after it."""
    made = Evidence(excluded=excluded)
    for number in range(1, slices + 1):
        made.append(
            number, START + timedelta(minutes=number), {PAIR: sums(90 if number <= 10 else 80), OTHER: sums(50)}
        )
    made.changes = {PAIR: changes} if changes else {}
    return made


def sums(successes: float) -> Sums:
    return Sums(outcomes=100.0, successes=successes, reward=successes, reward_squares=successes)


def run(result: RuleResult | None, evidence: Evidence) -> RuleResult:
    return AdaptiveRule().evaluate(evidence, result.states if result else {})


def score_of(result: RuleResult) -> Any:
    return next(each for each in result.scores if each.pair == PAIR)


def test_the_window_begins_at_the_change_with_the_old_mean_as_prior() -> None:
    before = run(None, evidence(10))
    after = run(before, evidence(11, CHANGE))
    state = after.states[PAIR]
    assert (state.evidence_from, state.earlier_boundaries) == (10, (0,))
    mean, worth = state.payload["prior"]
    assert (round(mean, 3), worth) == (0.899, 1.0)
    assert state.payload["fallen_from"] == mean
    assert (score_of(after).kind, score_of(after).samples) == ("changed", 100)
    assert "; answers name b since then, not a: its mean before, 0.899, counts like 1 outcome" in score_of(after).reason
    assert after.states[OTHER].evidence_from == 0
    assert run(after, evidence(12, CHANGE)).states[PAIR].evidence_from == 10, "applied once"


def test_an_undone_change_gives_the_window_back() -> None:
    before = run(None, evidence(10))
    after = run(before, evidence(11, CHANGE))
    again = run(after, evidence(11, replace(CHANGE, undone=True)))
    assert (again.states[PAIR].evidence_from, score_of(again).samples) == (0, 1100)
    assert "prior" not in again.states[PAIR].payload
    assert run(again, evidence(11, replace(CHANGE, undone=True))).states[PAIR].evidence_from == 0


def test_an_instance_that_is_quarantined_tells_nothing() -> None:
    excluded = frozenset({"i-1"})
    never = run(run(None, evidence(10)), evidence(11, CHANGE, excluded=excluded))
    assert never.states[PAIR].evidence_from == 0
    assert run(never, evidence(12, CHANGE)).states[PAIR].evidence_from == 0, "not when it is believed again, either"
    soon = run(run(run(None, evidence(10)), evidence(11, CHANGE)), evidence(12, CHANGE, excluded=excluded))
    assert soon.states[PAIR].evidence_from == 0


def test_a_later_alarm_replaces_the_prior() -> None:
    told = run(run(None, evidence(10)), evidence(13, CHANGE))
    fallen = evidence(13, CHANGE)
    for number in range(14, 17):
        fallen.append(number, START + timedelta(minutes=number), {PAIR: sums(20), OTHER: sums(50)})
    after = run(told, fallen)
    assert [each.model for each in after.alarms] == ["m"]
    payload = after.states[PAIR].payload
    assert not {"prior", "changed", "before_told"} & payload.keys()
    assert payload["told"] == 7
    assert score_of(after).kind == "alarm"


def test_a_change_before_the_window_changes_nothing() -> None:
    told = run(run(None, evidence(10)), evidence(13, CHANGE))
    assert run(told, evidence(13, CHANGE, replace(CHANGE, change_id=8, after_slice=4))).states[PAIR].evidence_from == 10
