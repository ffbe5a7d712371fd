"""A pair of the adaptive rule after a change of its model that was told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from centralcloud.learning.evidence import Evidence, ModelChange, NewVersion, Sums
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


SUSPECTED = "a rise is suspected, because answers name b since 2026-11-20 09:11 UTC"
NEW = NewVersion(version="b", after_slice=10, instances=frozenset({"i-1"}))


def trailer(*since: tuple[float, float], excluded: frozenset[str] = frozenset(), **told: Any) -> Evidence:
    """Return 10 slices in which 1 of 10 tasks succeeds and the leader does all, then slices of (outcomes, successes)."""
    made = Evidence(excluded=excluded)
    for number, (outcomes, successes) in enumerate([(10.0, 1.0)] * 10 + list(since), 1):
        mine = Sums(outcomes=outcomes, successes=successes, reward=successes, reward_squares=successes)
        made.append(number, START + timedelta(minutes=number), {PAIR: mine, OTHER: sums(90)})
    for name, value in told.items():
        setattr(made, name, {PAIR: [value]})
    return made


def share_of(result: RuleResult) -> float:
    return float(score_of(result).estimate.probe_share)


def test_the_first_answer_with_another_id_has_a_trailer_probed() -> None:
    silent = run(run(None, trailer()), trailer((1, 1)))
    named = run(run(None, trailer()), trailer((1, 1), new_versions=NEW))
    assert SUSPECTED in score_of(named).reason
    assert SUSPECTED not in score_of(silent).reason
    assert share_of(named) > 5 * share_of(silent)
    assert score_of(named).score == score_of(silent).score, "a suspicion moves no score"
    state = named.states[PAIR]
    assert (state.payload["named"], state.evidence_from, state.earlier_boundaries) == (["b", 10], 0, (10,))


def test_failures_end_the_suspicion_of_an_id_for_good_also_when_it_comes_back() -> None:
    result = run(run(None, trailer()), trailer((0, 0), new_versions=NEW))
    assert SUSPECTED in score_of(result).reason, "another complexity of the model had the answer"
    result = run(result, trailer((0, 0), (2, 0), new_versions=NEW))
    assert "suspected" not in score_of(result).reason
    result = run(result, trailer((0, 0), (2, 0), (1, 0)))
    again = trailer((0, 0), (2, 0), (1, 0), (0, 0), new_versions=replace(NEW, after_slice=13))
    result = run(result, again)
    assert "suspected" not in score_of(result).reason
    again.new_versions = {PAIR: [NEW, replace(NEW, version="c", after_slice=13)]}
    assert "because answers name c since 2026-11-20 09:14" in score_of(run(result, again)).reason


def test_an_id_that_only_quarantined_instances_name_is_not_heard() -> None:
    excluded = frozenset({"i-1"})
    assert "named" not in run(None, trailer((1, 1), excluded=excluded, new_versions=NEW)).states[PAIR].payload
    both = replace(NEW, instances=frozenset({"i-1", "i-2"}))
    assert "named" in run(None, trailer((1, 1), excluded=excluded, new_versions=both)).states[PAIR].payload


def test_a_version_that_counts_goes_on_being_probed_while_it_has_few_outcomes() -> None:
    before = run(run(None, trailer()), trailer((1, 1), new_versions=NEW))
    after = run(before, trailer((1, 1), changes=CHANGE))
    assert "named" not in after.states[PAIR].payload
    assert "; answers name b since then, not a: its mean before, 0.1" in score_of(after).reason
    assert score_of(after).reason.endswith("; a rise is suspected, because its model changed then")
    assert share_of(after) > 0.01
    failed = run(after, trailer((1, 1), (3, 0), changes=CHANGE))
    assert "suspected" not in score_of(failed).reason
