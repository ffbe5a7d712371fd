"""Results in sentences, a row for each kind; the named examples are those of the statistics."""

import math
from datetime import UTC, datetime

import pytest

from centralcloud.experiments.sentences import (
    Amount,
    Interval,
    about_duration,
    about_ratio,
    about_rollback,
    about_success,
    leader,
    odds,
    outcomes_needed,
)

AMOUNT = Amount(18_240, 4_610)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (
            0.012,
            0.034,
            "gpt-x is better than gpt-w by 1.2 to 3.4 points of success (95%; 18,240 outcomes in 4,610 sessions); this "
            "holds however often you look",
        ),
        (
            -0.05,
            -0.05,
            "gpt-x is worse than gpt-w by 5.0 points of success (95%; 18,240 outcomes in 4,610 sessions); this holds "
            "however often you look",
        ),
        (
            -1,
            -0.05,
            "gpt-x is worse than gpt-w by at least 5.0 points of success (95%; 18,240 outcomes in 4,610 sessions); this "
            "holds however often you look",
        ),
        (-0.008, 0.021, "between 0.8 points worse and 2.1 better; not decided; later"),
        (-1, 0.021, "at most 2.1 points better, how much worse is not known yet; not decided; later"),
        (-0.008, 1, "at most 0.8 points worse, how much better is not known yet; not decided; later"),
        (-1, 1, "not known yet (18,240 outcomes in 4,610 sessions)"),
        (0.03, 0.01, "the effect changed over time: no difference fits all of the time"),
    ],
)
def test_success(low: float, high: float, expected: str) -> None:
    assert about_success("gpt-x", "gpt-w", Interval(low, high), AMOUNT, hint="later") == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.12, -0.05, "b is faster than a by 5.0 to 12.0%, each request capped at 10 s (95%;"),
        (0.05, 0.12, "b is slower than a by 5.0 to 12.0%, each request capped at 10 s (95%;"),
        (-0.12, 0.05, "between 12.0% faster and 5.0% slower, each request capped at 10 s; not decided"),
        (-1, 1, "not known yet"),
    ],
)
def test_time(low: float, high: float, expected: str) -> None:
    said = about_ratio("b", "a", Interval(low, high), AMOUNT, less="faster", more="slower", cap="10 s")
    assert said.startswith(expected)


def test_the_hint_says_when_a_difference_shows_at_this_traffic() -> None:
    needed = outcomes_needed(0.02, 0.95)
    assert needed == pytest.approx(2 * 6.2 * 4 * 0.0475 * 1.6 / 0.0004)
    folded = needed / 2
    said = about_duration(0.02, 0.95, 0.5, folded, (needed - folded) / (3 * 3600))
    assert said == "at this traffic a difference of 2 points shows in about 3 hours"
    assert about_duration(0.02, 0.95, 0.5, needed, 1) == "a difference of 2 points would most likely have shown by now"
    assert about_duration(0.01, 0.95, 0.5, needed, 0) is None
    assert outcomes_needed(0.02, 0.95, 0.01) == pytest.approx(25.25 * needed, rel=1e-3)
    assert outcomes_needed(0.02, 1.0) > 0, "a model without a failure so far"


def test_a_roll_back_says_what_it_has_cost() -> None:
    at = datetime(2026, 11, 30, 14, 7, tzinfo=UTC)
    assert about_rollback(at, "gpt-x", "gpt-w", "fewer successes", 0.02, 38, 13, 0.05) == (
        "rolled back at 14:07: gpt-x against gpt-w: fewer successes; chance would look like this in less than 1 of 50 "
        "canaries; 38 requests were served by it, about 11 failed for it"
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (310, "1:310 against chance"),
        (2.5, "1:2.5 against chance"),
        (0.5, "1:1, no evidence"),
        (1e9, "more than 1:1,000,000 against chance"),
    ],
)
def test_an_e_value_is_odds(value: float, expected: str) -> None:
    assert odds(math.log(value)) == expected


def test_the_leader_has_all_others_below_it() -> None:
    assert leader({"b": Interval(0.03, 0.05), "c": Interval(-0.02, 0.02)}) == "b"
    assert leader({"b": Interval(0.03, 0.05), "c": Interval(0.01, 0.04)}) is None, "they overlap"
    assert leader({"b": Interval(-0.01, 0.05)}) is None, "control may be as good"
