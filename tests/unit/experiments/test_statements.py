"""Statements on a treatment: the state of each metric, its sentence, and what it has cost."""

import math
from datetime import timedelta

import pytest
from support.experiments import BEGAN, an_experiment, at
from support.known_experiments import BETTER, WORSE_KNOWN, Known, facts_of

from centralcloud.experiments.sentences import Interval
from centralcloud.experiments.statements import (
    difference_evidence,
    price_of,
    rollback_sentence,
    state_of,
    statement_of,
    statements_of,
)


@pytest.mark.parametrize(
    ("low", "high", "state", "of_time"),
    [
        (0.01, 0.03, "better", "worse"),
        (-0.03, -0.01, "worse", "better"),
        (-0.01, 0.02, "open", "open"),
        (-1.0, 1.0, "unknown", "unknown"),
        (-1.0, 0.2, "open", "open"),
        (0.02, 0.01, "changed", "changed"),
    ],
)
def test_less_time_is_better_and_more_success_is(low: float, high: float, state: str, of_time: str) -> None:
    assert state_of(Interval(low, high)) == state
    assert state_of(Interval(low, high), less_is_better=True) == of_time


def test_each_metric_has_its_own_sentence_and_those_without_outcomes_none() -> None:
    experiment = an_experiment(plan={"sloMs": 5000}, treatments=[{"model": "gpt-x"}])
    known = BETTER._replace(possible={**BETTER.possible, "slo": (-0.08, -0.03), "arrived": (-0.04, -0.01)})
    facts = facts_of(experiment, known)
    found = {each.metric: each for each in statements_of(experiment, 0, facts, at(7200))}
    assert list(found) == ["success", "request_success", "latency", "cost", "slo", "arrived"]
    assert found["success"].sentence.startswith("gpt-x is better than control by 1.2 to 3.4 points of success (95%;")
    assert "25.0 to 40.0%, each request capped at 0.10 USD" in found["cost"].sentence
    assert found["slo"].sentence.startswith("gpt-x is better than control by 3.0 to 8.0 points of answers within 5 s")
    assert found["arrived"].sentence.startswith("gpt-x is worse than control by 1.0 to 4.0 points of outcomes")
    assert (found["slo"].state, found["arrived"].state) == ("better", "worse")
    assert (found["latency"].low, found["latency"].high) == (-0.2, 0.1)
    none = {**facts, "latency": {**facts["latency"], "control": {"outcomes": 0}, "treatment": {"outcomes": 0}}}
    assert "latency" not in {each.metric for each in statements_of(experiment, 0, none, at(7200))}
    assert statement_of(experiment, 0, "success", {}, at(7200)) is None


def test_an_undecided_canary_says_when_its_margin_shows_at_its_largest_share() -> None:
    experiment = an_experiment(treatments=[{"model": "gpt-x"}], plan={"outcomeWithinSeconds": 60})
    known = Known((59_400, 56_430), (600, 570), {"success": (-0.04, 0.03)})
    stated = statement_of(experiment, 0, "success", facts_of(experiment, known), at(100 * 60 + 60))
    assert stated is not None
    # 600 requests a minute; 9,424 outcomes are needed at 50:50, and 60,000 at 1% tell as much as 2,376 there.
    assert stated.sentence.endswith("at this traffic a difference of 2 points shows in about 12 minutes"), (
        stated.sentence
    )
    ended = an_experiment(treatments=[{"model": "gpt-x"}], stage={"status": "stopped", "share": 0.0})
    stated = statement_of(ended, 0, "success", facts_of(ended, known), at(6060))
    assert stated is not None
    assert stated.sentence.endswith("not decided")


def test_extra_failures_are_those_that_control_would_not_have_had() -> None:
    experiment = an_experiment(
        treatments=[{"model": "dud"}], stage={"status": "rolledBack", "reason": "fewer successes"}
    )
    facts = facts_of(experiment, WORSE_KNOWN)
    price = price_of(experiment, facts)
    assert price is not None
    assert (price.outcomes, price.failures) == (38, 13)
    assert price.extra_failures == pytest.approx(13 - 38 * 0.05)
    assert (price.least, price.most) == (pytest.approx(0.08 * 38), pytest.approx(0.4 * 38))
    sentence = rollback_sentence(experiment, 0, facts, BEGAN + timedelta(hours=2, minutes=7))
    assert sentence == (
        "rolled back at 14:07: dud against control: fewer successes; chance would look like this in less than 1 of 50 "
        "canaries; 38 requests were served by it, about 11 failed for it"
    )
    assert price_of(experiment, {}) is None
    unknown = price_of(experiment, facts_of(experiment, WORSE_KNOWN._replace(possible={})))
    assert unknown is not None
    assert (unknown.least, unknown.most) == (None, None)


def test_the_evidence_of_a_difference_is_the_mean_of_both_sides() -> None:
    assert difference_evidence({"log_above": math.log(40), "log_below": math.log(2)}) == pytest.approx(math.log(21))
