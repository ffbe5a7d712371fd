"""The success before and after a switch, adjusted for the mix of tasks."""

from datetime import UTC, datetime

import pytest

from centralcloud.evaluation.before_after import BeforeAfter, Stratum, adjust, compare

_AT = datetime(2026, 11, 20, tzinfo=UTC)
_NOTHING = BeforeAfter(_AT, "x", _AT, _AT, (0, 0), (None, None))


def stratum(complexity: str, outcomes: int, rate: float, task_type: str = "") -> Stratum:
    return Stratum(complexity, task_type, outcomes, outcomes * rate, outcomes * rate, _AT, _AT)


def test_a_change_of_the_mix_alone_makes_no_difference() -> None:
    before = [stratum("simple", 100, 0.9), stratum("complex", 900, 0.5)]
    after = [stratum("simple", 900, 0.9), stratum("complex", 100, 0.5)]
    found = adjust(before, after)
    assert found is not None
    assert (found.before, found.after, found.shared) == pytest.approx((0.7, 0.7, 1.0))
    compared = compare(_NOTHING, before, after)
    assert compared.rates == pytest.approx((0.54, 0.86))
    assert compared.difference == pytest.approx(0.0)


def test_rates_are_weighed_with_the_mix_of_both_times() -> None:
    # 0.25 of the outcomes are simple: 0.25 x 0.8 + 0.75 x 0.4 = 0.5 before, 0.25 x 1.0 + 0.75 x 0.6 = 0.7 after.
    before = [stratum("simple", 100, 0.8), stratum("complex", 100, 0.4)]
    after = [stratum("simple", 100, 1.0), stratum("complex", 500, 0.6)]
    found = compare(_NOTHING, before, after)
    assert found.adjusted == pytest.approx((0.5, 0.7))
    assert found.difference == pytest.approx(0.2)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.2 < found.high
    # The variance of each stratum has one success and one failure more.
    error = sum(
        weight**2 * rate * (1 - rate) / count
        for weight, rate, count in (
            (0.25, 81 / 102, 100), (0.75, 41 / 102, 100), (0.25, 101 / 102, 100), (0.75, 301 / 502, 500),
        )
    )  # fmt: skip
    assert found.high - found.low == pytest.approx(2 * 1.96 * error**0.5)


def test_task_types_are_told_apart_and_those_of_one_time_are_left_out() -> None:
    before = [stratum("simple", 300, 0.5, "coding"), stratum("simple", 100, 0.1, "old")]
    after = [stratum("simple", 300, 0.6, "coding"), stratum("simple", 100, 1.0, "new")]
    found = compare(_NOTHING, before, after)
    assert found.difference == pytest.approx(0.1)
    assert found.shared == pytest.approx(600 / 800)


def test_few_outcomes_or_few_shared_ones_have_no_difference() -> None:
    many = [stratum("simple", 300, 0.5)]
    few = compare(_NOTHING, [stratum("simple", 99, 0.5)], many)
    assert (few.difference, few.unknown) == (None, "99 outcomes before the switch, expected 100")
    assert compare(_NOTHING, many, []).unknown == "0 outcomes after the switch, expected 100"
    apart = compare(_NOTHING, many, [stratum("complex", 300, 0.5)])
    assert apart.difference is None
    assert apart.unknown is not None
    assert apart.unknown.startswith("fewer than half of the outcomes")
