"""What an experiment waits for, a line for each condition that is not met."""

from datetime import datetime
from typing import Any

from support.experiments import NO_EVIDENCE, SAFE, an_experiment, at, log_of
from support.known_experiments import BETTER, facts_of

from centralcloud.contracts.canary import Facts
from centralcloud.contracts.experiment_conditions import conditions_in_json
from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.experiments.waiting import read_conditions, waiting_lines


def lines(experiment: Experiment, facts: Facts | None, now: datetime) -> list[str]:
    known = {} if facts is None else {0: facts_of(experiment, BETTER._replace(facts=facts))}
    return list(waiting_lines(experiment, read_conditions(experiment, known, now), now))


def at_step(number: int, **stage: Any) -> Experiment:
    shares = (0.01, 0.05, 0.25, 0.5, 0.95)
    winner = "b" if number == 4 else None
    return an_experiment(stage={"step": number, "share": shares[number], "winner": winner, **stage})


def test_each_condition_that_is_not_met_is_a_line() -> None:
    facts = NO_EVIDENCE._replace(treated=12, loss_excluded=(0.0, log_of(3.1), 0.0, 0.0))
    assert lines(at_step(0), facts, at(247)) == [
        "waits for: time on this step, 4 minutes of 10 minutes",
        "waits for: outcomes of the treatment, 12 of 50",
        "waits for: loses less than 20 points of success, odds 1:3.1 of 1:20",
    ]
    assert lines(at_step(0), SAFE, at(600)) == ["waits for: the next round of the daemon"]
    assert lines(at_step(0), None, at(0))[1] == "waits for: outcomes of the treatment, 0 of 50"


def test_a_promotion_waits_for_each_limit_and_for_a_win() -> None:
    facts = NO_EVIDENCE._replace(within_margin=log_of(7), within_time=log_of(20), within_cost=None, wins=(0.0, 1.0))
    assert lines(at_step(3), facts, at(600)) == [
        "waits for: loses less than 2 points of success, odds 1:7.0 of 1:20",
        "waits for: better in success, time or cost, odds 1:2.7 of 1:40",
    ]


def test_a_step_waits_for_the_sessions_from_before_it_and_its_time_has_not_begun() -> None:
    assert lines(at_step(1, before=0.01), SAFE, at(4000)) == [
        "waits for: sessions from before the step have ended",
        "waits for: time on this step, 0 seconds of 10 minutes",
    ]


def test_a_pause_a_hold_and_a_test_say_what_ends_them() -> None:
    halted = an_experiment(stage={"status": "paused", "share": 0.0, "by_hand": False})
    assert lines(halted, SAFE, at(300)) == [
        "waits for: time of the pause, 5 minutes of 15 minutes",
        "waits for: sessions from before the pause have ended and count",
    ]
    by_hand = an_experiment(stage={"status": "paused", "share": 0.0, "by_hand": True})
    assert lines(by_hand, SAFE, at(300)) == [
        f"waits for: `centralcloud experiments resume {by_hand.id}`: a pause by hand ends by hand"
    ]
    assert lines(at_step(4), SAFE, at(7200)) == ["waits for: time of the hold, 2 hours of 24 hours"]
    (line,) = lines(an_experiment(kind="ab"), SAFE, at(4 * 86_400))
    assert line.startswith(
        "waits for: `centralcloud experiments stop` or `promote`: nothing promotes an A/B test; it ends"
    )
    assert "undecided in 10 days, or after 200,000 outcomes" in line
    assert lines(an_experiment(stage={"status": "stopped", "share": 0.0}), SAFE, at(1)) == []


def test_for_programs_evidence_is_an_e_value() -> None:
    experiment = at_step(0)
    facts = {0: facts_of(experiment, BETTER._replace(facts=NO_EVIDENCE._replace(slower=float("-inf"))))}
    found = read_conditions(experiment, facts, at(60))
    assert conditions_in_json(found.upward) == [
        {"condition": "dwell", "unit": "seconds", "now": 60.0, "needed": 600.0, "is_met": False},
        {"condition": "treated", "unit": "outcomes", "now": 500.0, "needed": 50, "is_met": True},
        {"condition": "loss", "unit": "evidence", "now": 1.0, "needed": 20.0, "is_met": False},
    ]
    (guards,) = found.guards
    assert [(each["condition"], each["now"], each["needed"]) for each in conditions_in_json(guards)] == [
        ("worse", 1.0, 200.0),
        ("slower", 0.0, 200.0),
        ("dearer", 1.0, 200.0),
    ]
