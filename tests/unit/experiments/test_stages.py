"""Every way from one stage of an experiment to the next."""

from datetime import datetime
from random import Random

import pytest
from msgspec.structs import replace
from support.experiments import BEGAN, GOOD, NO_EVIDENCE, SAFE, WORSE, an_experiment, at, log_of, shown

from centralcloud.contracts.canary import CanaryPlan, Facts
from centralcloud.contracts.experiment_arms import Assignment, assign
from centralcloud.contracts.experiment_changes import paused, resumed
from centralcloud.contracts.experiment_conditions import canary_plan, conditions_of
from centralcloud.contracts.fleet_configuration import (
    Experiment,
    ExperimentPlan,
    ExperimentStage,
    parse_experiment,
    to_body,
)
from centralcloud.experiments.stages import (
    SAMPLE_RATIO,
    UNDECIDED_LEARNED,
    Differs,
    change_words,
    next_stage,
    verdicts_of,
)


def step(
    experiment: Experiment, facts: Facts | list[Facts], now: datetime, *, older: bool = False, alarm: bool = False
) -> ExperimentStage:
    each = facts if isinstance(facts, list) else [facts]
    return next_stage(experiment, each, now, has_older_sessions=older, alarm=alarm)


def in_stage(stage: ExperimentStage, experiment: Experiment | None = None) -> Experiment:
    return replace(experiment or an_experiment(), stage=stage)


AB = {"kind": "ab", "treatments": [{"model": "b"}, {"model": "c"}]}
LAST = {"step": 3, "share": 0.5}


def test_the_plan_of_an_experiment_has_the_defaults_of_a_canary() -> None:
    assert canary_plan(an_experiment()) == CanaryPlan(hold_seconds=86_400)
    assert canary_plan(an_experiment(**AB)).hold_seconds == 0, "nothing promotes it"
    plan = ExperimentPlan(steps=(0.1, 0.3), alpha=0.01, require_better=False, retries=4, horizon_outcomes=7)
    mapped = canary_plan(replace(an_experiment(), plan=plan))
    assert (mapped.steps, mapped.alpha, mapped.win_needed, mapped.retries) == ((0.1, 0.3), 0.01, False, 4)
    assert mapped.horizon_outcomes == 7


def test_it_begins_with_the_first_share_and_stays_without_evidence() -> None:
    begun = an_experiment()
    assert shown(begun.stage) == ("running", 0, 0.01, None)
    assert step(begun, NO_EVIDENCE, at(700)) == begun.stage
    assert step(begun, [], at(700)) == begun.stage, "nothing is folded yet"


def test_a_step_has_two_phases_and_only_the_second_one_lets_it_move_up() -> None:
    first = step(an_experiment(), SAFE, at(600), older=True)
    assert shown(first) == ("running", 1, 0.05, 0.01)
    assert (first.since, first.by_hand) == (at(600), False)
    waiting = in_stage(first)
    assert step(waiting, SAFE, at(9000), older=True) == first, "sessions from before it are open"
    settled = step(waiting, SAFE, at(9000))
    assert shown(settled) == ("running", 1, 0.05, None)
    assert settled.since == at(9000)
    assert step(in_stage(settled), SAFE, at(9599)) == settled, "the dwell counts from the share, not from the step"
    assert shown(step(in_stage(settled), SAFE, at(9600))) == ("running", 2, 0.25, 0.05)


def test_it_is_not_promoted_in_the_middle_of_a_step() -> None:
    middle = an_experiment(stage={**LAST, "before": 0.25})
    assert shown(step(middle, GOOD, at(9000), older=True)) == ("running", 3, 0.5, 0.25)
    last = an_experiment(stage=LAST, plan={"holdSeconds": 0})
    promoted = step(last, GOOD, at(9000))
    assert shown(promoted) == ("promoted", 3, 0.0, None)
    assert (promoted.winner, promoted.since, promoted.by_hand) == ("b", at(9000), False)


def test_a_promotion_holds_a_few_sessions_back_for_a_day_and_moves_no_session_for_it() -> None:
    last = an_experiment(stage=LAST)
    held = step(last, GOOD, at(9000), older=True)
    assert shown(held) == ("running", 4, 0.95, 0.5)
    assert (held.winner, held.reason) == ("b", "better")
    waiting = in_stage(held)
    assert waiting.is_held
    assert parse_experiment(to_body(waiting)) == waiting
    for position in (0.0, 0.49, 0.5, 0.94, 0.96, 0.99):
        before, after = (assign(position, each.split) for each in (last, waiting))
        assert after.share is None or after.treatment == before.treatment, "a folded session stays in its arm"
    settled = step(waiting, NO_EVIDENCE, at(10_000))
    assert (shown(settled), settled.winner) == (("running", 4, 0.95, None), "b")
    assert assign(0.94, in_stage(settled).split) == Assignment(0, pytest.approx(0.95))
    assert step(in_stage(settled), NO_EVIDENCE._replace(outcomes=1e9), at(96_399)) == settled, "no horizon ends it"
    final = step(in_stage(settled), NO_EVIDENCE, at(96_400))
    assert shown(final) == ("promoted", 4, 0.0, None)
    assert (final.winner, final.reason) == ("b", "no guard was reached in the hold")


def test_a_model_that_falls_in_the_hold_is_paused_and_then_rolled_back() -> None:
    held = an_experiment(stage={"step": 4, "share": 0.95, "winner": "b"})
    halted = step(held, WORSE, at(10))
    assert (shown(halted), halted.winner, halted.reason) == (("paused", 4, 0.0, None), None, "fewer successes")
    again = step(in_stage(halted), WORSE, at(910))
    assert (shown(again), again.winner) == (("running", 0, 0.01, 0.0), None)
    final = step(in_stage(replace(held.stage, retries=1)), WORSE, at(10))
    assert (shown(final), final.winner) == (("rolledBack", 4, 0.0, None), None)
    for each in (halted, again, final):
        assert parse_experiment(to_body(in_stage(each))).stage == each


def test_an_operator_pauses_and_resumes_a_hold() -> None:
    held = an_experiment(stage={"step": 4, "share": 0.95, "winner": "b"})
    back = resumed(paused(held, at(10)), at(20))
    assert (shown(back.stage), back.stage.winner) == (("running", 4, 0.95, 0.0), "b")
    assert parse_experiment(to_body(back)) == back


def drawn(rng: Random) -> Facts:
    """Draw facts of which each is as often enough as not."""
    odd = [rng.choice((0.0, log_of(20), log_of(60))) for _ in range(9)]
    return Facts(
        5_000, rng.choice((49, 50)), 0.0, 0.0, 0.0, 0.0, (0.0, *odd[:3]), odd[3],
        rng.choice((None, odd[4])), rng.choice((None, odd[5])), tuple(odd[6:]),
    )  # fmt: skip


def test_it_moves_up_exactly_when_nothing_is_left_that_it_is_said_to_wait_for() -> None:
    rng = Random(17)
    moved = stayed = 0
    for _ in range(3000):
        number = rng.choice((0, 1, 2, 3, 4))
        stage = {"step": number, "share": [0.01, 0.05, 0.25, 0.5, 0.95][number], "winner": "b" if number == 4 else None}
        stage["before"] = rng.choice((None, None, None, 0.01))
        if is_paused := rng.random() < 0.2:
            stage = {"status": "paused", "share": 0.0, "by_hand": False}
        plan = {"requireBetter": rng.random() < 0.5, "holdSeconds": 9000}
        experiment = an_experiment(plan=plan, stage=stage)
        facts, now = drawn(rng), at(rng.choice((599, 600, 899, 900, 8999, 9000)))
        evidence = {name: list(each) if isinstance(each, tuple) else each for name, each in facts._asdict().items()}
        unmet = {each.name for each in conditions_of(experiment, {0: evidence}, now).unmet}
        after, older = step(experiment, facts, now, older=False), step(experiment, facts, now, older=True)
        assert ("settled" in unmet) == (is_paused or experiment.stage.before is not None)
        if "settled" in unmet:
            assert (older.step, older.status) == (experiment.stage.step, experiment.stage.status)
        if is_paused:
            unmet -= {"settled"}  # `after` has no older session
        is_up = after.status == "promoted" or after.step > experiment.stage.step or after.retries > 0
        assert is_up == (not unmet), (experiment.stage, unmet)
        moved, stayed = moved + is_up, stayed + (not is_up)
    assert min(moved, stayed) > 300


def test_a_canary_pauses_itself_begins_again_and_is_rolled_back_the_second_time() -> None:
    running = an_experiment(stage={"step": 2, "share": 0.25, "before": 0.05})
    halted = step(running, WORSE, at(1000), older=True)
    assert shown(halted) == ("paused", 2, 0.0, None)
    assert halted.reason == "fewer successes"
    assert in_stage(halted).split.share == 0
    assert step(in_stage(halted), WORSE, at(1899)) == halted
    assert step(in_stage(halted), WORSE, at(9000), older=True) == halted, "what it is paused for would count again"
    again = step(in_stage(halted), WORSE, at(1900))
    assert shown(again) == ("running", 0, 0.01, 0.0)
    assert again.retries == 1
    assert shown(step(in_stage(again), NO_EVIDENCE, at(1930))) == ("running", 0, 0.01, None)
    final = step(in_stage(again), WORSE, at(2000))
    assert shown(final) == ("rolledBack", 0, 0.0, None)
    assert step(in_stage(final), GOOD, at(9999)) == final, "it has ended"


def test_a_pause_by_hand_does_not_end_by_itself() -> None:
    by_hand = paused(an_experiment(stage={"step": 1, "share": 0.05}), at(10), "a holiday")
    assert shown(by_hand.stage) == ("paused", 1, 0.0, None)
    assert step(by_hand, SAFE, at(100_000), alarm=True) == by_hand.stage
    back = resumed(by_hand, at(100_001))
    assert shown(back.stage) == ("running", 1, 0.05, 0.0)
    assert back.stage.retries == 0
    assert shown(step(back, NO_EVIDENCE, at(100_002), older=True)) == ("running", 1, 0.05, 0.0)
    assert shown(step(back, NO_EVIDENCE, at(100_002))) == ("running", 1, 0.05, None)


def test_an_operator_who_resumes_a_canary_that_paused_itself_does_not_wait() -> None:
    halted = in_stage(step(an_experiment(stage={"step": 1, "share": 0.05}), WORSE, at(1000)))
    back = resumed(halted, at(1001))
    assert shown(back.stage) == ("running", 0, 0.01, 0.0)
    assert (back.stage.retries, back.stage.by_hand) == (1, True)


def test_a_wrong_split_stops_it_with_the_reason() -> None:
    stopped = step(an_experiment(), GOOD, at(1), alarm=True)
    assert (stopped.status, stopped.reason, stopped.share) == ("stopped", SAMPLE_RATIO, 0.0)


@pytest.mark.parametrize("kind", ["canary", "ab"])
def test_it_ends_undecided_at_its_horizon(kind: str) -> None:
    running = an_experiment(kind=kind, plan={"horizonSeconds": 5000, "horizonOutcomes": 6000})
    assert step(running, NO_EVIDENCE, at(4999)) == running.stage
    for found in (step(running, NO_EVIDENCE, at(5000)), step(running, NO_EVIDENCE._replace(outcomes=6000), at(1))):
        assert shown(found) == ("undecided", 0, 0.0, None)
    assert step(running, [], at(5000)).status == "undecided", "no session came at all"


def test_an_ab_test_is_never_promoted_and_does_not_ramp() -> None:
    test = an_experiment(**AB)
    assert shown(test.stage) == ("running", 0, pytest.approx(1 / 3), None)
    assert step(test, [GOOD, GOOD], at(90_000)) == test.stage


def test_one_worse_treatment_of_an_ab_test_pauses_all_and_is_named() -> None:
    test = an_experiment(**AB)
    halted = step(test, [GOOD, WORSE], at(90_000))
    assert (halted.status, halted.reason, halted.share) == ("paused", "c: fewer successes", 0.0)
    again = step(in_stage(halted, test), [GOOD, WORSE], at(90_900))
    assert shown(again) == ("running", 0, pytest.approx(1 / 3), 0.0)
    assert step(in_stage(again, test), [GOOD, WORSE], at(90_901)).status == "rolledBack"
    late = NO_EVIDENCE._replace(outcomes=1e9)
    assert step(test, [late, WORSE], at(90_000)).status == "paused", "a guard goes before the horizon"


def test_an_ab_test_differs_at_alpha_over_twice_its_treatments() -> None:
    test = an_experiment(**AB)
    better, almost = (NO_EVIDENCE._replace(wins=(log_of(80 * by), 0.0, 0.0)) for by in (1, 0.99))
    assert verdicts_of(test, [almost, better]) == [Differs(1, "better")]
    worse, short = (NO_EVIDENCE._replace(worse=log_of(160 * by)) for by in (1, 0.99))
    assert verdicts_of(test, [worse, short]) == [Differs(0, "worse")], "it may begin twice"
    assert verdicts_of(an_experiment(), [GOOD]) == []


def test_changes_are_said_in_words() -> None:
    begun = an_experiment()
    up = step(begun, SAFE, at(600), older=True)
    assert change_words(begun.stage, up) == (
        "from 1.0% to 5.0% of the sessions: the next share is within the harm budget"
    )
    settled = step(in_stage(up), SAFE, at(601))
    assert change_words(up, settled) == "5.0% of the sessions: no session from before the step is open"
    halted = step(in_stage(settled), WORSE, at(700))
    assert change_words(settled, halted) == "paused: fewer successes"
    again = step(in_stage(halted), WORSE, at(7000))
    assert change_words(halted, again) == "begins again with 1.0% of the sessions"
    assert change_words(again, step(in_stage(again), WORSE, at(7001))) == "rolled back: fewer successes"
    last = an_experiment(stage=LAST)
    held = step(last, GOOD, at(9000))
    assert change_words(last.stage, held) == "promoted b, on hold with 95.0% of the sessions: better"
    settled = step(in_stage(held), GOOD, at(9001))
    assert change_words(held, settled) == "95.0% of the sessions: no session from before the step is open"
    final = step(in_stage(settled), GOOD, at(99_000))
    assert change_words(settled, final) == "promoted b: no guard was reached in the hold"
    assert begun.stage.began == BEGAN


def test_learned_scores_are_promoted_at_the_horizon_unless_a_guard_was_against_them() -> None:
    plan = {"horizonSeconds": 5000}
    running = replace(an_experiment(plan=plan), learned_by="adaptive")
    found = step(running, NO_EVIDENCE, at(5000))
    assert (found.status, found.winner, found.reason) == ("promoted", "b", UNDECIDED_LEARNED)
    assert step(running, WORSE, at(5000)).status == "paused", "a guard goes before the horizon"
    again = replace(an_experiment(plan=plan, stage={"retries": 1}), learned_by="adaptive")
    assert step(again, NO_EVIDENCE, at(5000)).status == "undecided"
