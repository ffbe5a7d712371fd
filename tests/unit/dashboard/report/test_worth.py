"""The worth of learning: the estimate by hand, and when the log cannot tell."""

import math
import random

import pytest

from centralcloud.dashboard.report.worth import Weighed, highest, worth_of

SCORES = {"old": 4.0, "new": 3.0}


def row(model: str, successes: int, failures: int, propensity: float, *, weighed: float = 1.0) -> Weighed:
    outcomes, weight = successes + failures, 1 / propensity
    known = round(weighed * outcomes)
    return Weighed(
        "complex", model, outcomes, successes, known, known * weight, weighed * successes * weight, known * weight**2,
        weighed * successes * weight**2,
    )  # fmt: skip


def test_the_estimate_of_equal_propensities_is_the_plain_rate() -> None:
    found = worth_of("complex", [row("old", 60, 40, 0.1), row("new", 810, 90, 0.9)], SCORES)
    assert (found.leader, found.outcomes, found.unknown) == ("old", 1000, None)
    assert (found.rate, found.rate_before) == (pytest.approx(0.87), pytest.approx(0.6))
    assert found.gained == pytest.approx(270)
    error = math.sqrt(0.87 * 0.13 / 1000 + 0.6 * 0.4 / 100)
    assert found.low == pytest.approx(1000 * (0.27 - 1.96 * error))
    assert found.high == pytest.approx(1000 * (0.27 + 1.96 * error))


def test_unequal_propensities_are_weighed() -> None:
    # 50 hard tasks at 0.1, 20 successes; 90 easy ones at 0.9, all successes: half of the tasks are hard, 200 * 0.4 + 1 each.
    hard, easy = row("old", 20, 30, 0.1), row("old", 90, 0, 0.9)
    old = Weighed("complex", "old", *(a + b for a, b in zip(hard[2:], easy[2:], strict=True)))
    found = worth_of("complex", [old, row("new", 100, 0, 0.5)], SCORES)
    assert found.rate_before == pytest.approx((20 * 10 + 100) / (50 * 10 + 100))


@pytest.mark.parametrize(
    ("rows", "scores", "reason"),
    [
        ([row("old", 60, 40, 0.1), row("new", 9, 1, 0.9)], {}, "no score was published before"),
        ([row("old", 60, 40, 0.1)], SCORES, "one model only: old"),
        (
            [row("old", 60, 40, 0.1, weighed=0), row("new", 9, 1, 0.9, weighed=0)],
            SCORES,
            "only 0.0% of the outcomes have a propensity",
        ),
        (
            [row("old", 6, 4, 0.1), row("new", 9, 1, 0.9)],
            SCORES,
            "too few outcomes: old, which led before, has 10 outcomes",
        ),
        (
            [row("a", 6, 4, 0.1), row("new", 9, 1, 0.9)],
            SCORES,
            "too few outcomes: old, which led before, has 0 outcomes",
        ),
        ([row("old", 60, 40, 0.1), row("new", 9, 1, 0.9)], {"old": 4.0, "new": 4.0}, "several models"),
    ],
)
def test_the_log_says_why_it_cannot_tell(rows: list[Weighed], scores: dict[str, float], reason: str) -> None:
    found = worth_of("complex", rows, scores)
    assert reason in (found.unknown or "")
    assert (found.gained, found.low, found.high, found.rate_before) == (None, None, None, None)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng, held = random.Random(1), 0
    for _ in range(300):
        sums = {"old": [0.0] * 7, "new": [0.0] * 7}
        for _ in range(1500):
            propensity = rng.choice((0.1, 0.5))
            model = "old" if rng.random() < propensity else "new"
            weight = 1 / (propensity if model == "old" else 1 - propensity)
            success = rng.random() < {0.1: 0.5, 0.5: 0.9}[propensity] + (0.05 if model == "new" else 0)
            for index, value in enumerate((1, success, 1, weight, weight * success, weight**2, weight**2 * success)):
                sums[model][index] += value
        rows = [Weighed("complex", model, *values) for model, values in sums.items()]  # type: ignore[arg-type]
        found = worth_of("complex", rows, SCORES)
        assert found.low is not None
        assert found.high is not None
        assert found.rate is not None
        held += found.low <= found.outcomes * (found.rate - 0.7) <= found.high
    assert held >= 280  # 95%, and the interval is a little too wide


def test_a_tie_has_no_leader() -> None:
    assert highest({"a": 1.0, "b": 2.0}) == "b"
    assert highest({"a": 2.0, "b": 2.0}) is None
    assert highest({}) is None
