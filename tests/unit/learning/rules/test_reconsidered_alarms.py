"""An alarm is examined again without an instance that contributed to it and was quarantined afterwards."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from centralcloud.learning.evidence import Evidence, Pair, Sums
from centralcloud.learning.rule import RuleResult
from centralcloud.learning.rules import AdaptiveRule

PAIR: Pair = ("m", "simple")
OTHER: Pair = ("n", "simple")
START = datetime(2026, 1, 1, tzinfo=UTC)
KNOWN, LIED = 20, 3


def outcomes(successes: int, count: int) -> Sums:
    return Sums(outcomes=count, reward=successes, reward_squares=successes)


def history(lies: int, *, honest: int = 36, slices: int = KNOWN + LIED, excluded: tuple[str, ...] = ()) -> Evidence:
    """Return slices of 40 honest outcomes, `honest` of them successes from slice 21 on (36 before), plus `lies` failures."""
    evidence = Evidence(excluded=excluded)
    for number in range(1, slices + 1):
        late = number > KNOWN
        good, false = (honest, lies) if late else (36, 0)
        sums = {PAIR: outcomes(good, 40 + false), OTHER: outcomes(30, 40)}
        evidence.append(number, START + timedelta(minutes=number), sums)
    return evidence


def test_an_alarm_that_only_the_liar_caused_is_taken_back() -> None:
    rule = AdaptiveRule()
    deceived = rule.evaluate(history(lies=30), {})
    assert [(alarm.model, alarm.after < alarm.before) for alarm in deceived.alarms] == [("m", True)]
    clean = history(lies=0, slices=KNOWN + LIED + 1, excluded=("liar",))
    result = rule.evaluate(clean, deceived.states)
    assert not result.alarms
    assert samples(result) == 40 * (KNOWN + LIED + 1)
    assert "fallen_from" not in result.states[PAIR].payload


def test_a_change_that_the_others_show_too_is_found_again_at_once() -> None:
    rule = AdaptiveRule()
    deceived = rule.evaluate(history(lies=30, honest=8), {})
    assert deceived.alarms
    result = rule.evaluate(history(lies=0, honest=8, excluded=("liar",)), deceived.states)
    assert [alarm.after_slice for alarm in result.alarms] == [KNOWN]
    assert samples(result) == 40 * LIED


def test_an_instance_that_was_excluded_already_changes_nothing() -> None:
    rule = AdaptiveRule()
    found = rule.evaluate(history(lies=0, honest=8, excluded=("liar",)), {})
    result = rule.evaluate(history(lies=0, honest=8, slices=KNOWN + LIED + 1, excluded=("liar",)), found.states)
    assert found.alarms
    assert not result.alarms
    assert samples(result) == 40 * (LIED + 1)


def test_an_alarm_older_than_the_evidence_of_a_quarantine_stays() -> None:
    rule = AdaptiveRule()
    state = rule.evaluate(history(lies=0, honest=8), {}).states
    later = history(lies=0, honest=8, slices=KNOWN + LIED + 30, excluded=("liar",))
    result = rule.evaluate(later, state)
    assert not result.alarms
    assert samples(result) == 40 * (LIED + 30)
    assert "before" not in result.states[PAIR].payload


def samples(result: RuleResult) -> int:
    return next(score.samples for score in result.scores if score.pair == PAIR)


def test_the_state_of_a_renamed_model_is_sufficient() -> None:
    """A rename removes the parts of the last score; the alarms stay."""
    rule = AdaptiveRule()
    deceived = rule.evaluate(history(lies=30), {})
    states = {
        pair: replace(state, payload={name: value for name, value in state.payload.items() if name != "parts"})
        for pair, state in deceived.states.items()
    }
    assert "before" in states[PAIR].payload
    result = rule.evaluate(history(lies=0, excluded=("liar",)), states)
    assert "fallen_from" not in result.states[PAIR].payload
