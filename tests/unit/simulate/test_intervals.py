"""Intervals of means over few runs."""

import math

import numpy as np
import pytest

from centralcloud.simulate.intervals import estimate, limits_of
from centralcloud.simulate.scenario import Weights


def test_the_interval_of_a_mean_is_students() -> None:
    # Calculated manually: mean 2, standard deviation 1, t = 4.303 with 2 degrees of freedom: 2 -+ 4.303 / sqrt(3).
    assert estimate([1.0, 2.0, 3.0, None]) == {"mean": 2.0, "low": -0.484338, "high": 4.48434, "runs": 3}
    assert estimate([7.0]) == {"mean": 7.0, "low": None, "high": None, "runs": 1}
    assert estimate([None]) == {"mean": None, "low": None, "high": None, "runs": 0}


@pytest.mark.parametrize(
    "values", [[0.9, 1.0], [0.0, 0.2], [0.5, 0.6], [0.01, 0.99], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]]
)
def test_the_interval_of_a_share_stays_within_0_and_1_with_two_runs(values: list[float]) -> None:
    found = estimate(values, (0.0, 1.0))
    assert 0 <= found["low"] <= found["mean"] <= found["high"] <= 1
    if values[0] != values[1]:
        assert found["high"] - found["low"] > 0.9 * abs(values[0] - values[1])


def test_a_narrow_interval_is_students_within_limits_too() -> None:
    values = [0.70, 0.701, 0.699, 0.7005, 0.6995]
    within, without = estimate(values, (0.0, 1.0)), estimate(values)
    assert within["low"] == pytest.approx(without["low"], abs=1e-5)
    assert within["high"] == pytest.approx(without["high"], abs=1e-5)


def test_the_interval_of_a_share_covers_it_as_often_as_students() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(1000):
        found = estimate((rng.binomial(40, 0.9, size=3) / 40).tolist(), (0.0, 1.0))
        covered += found["low"] <= 0.9 <= found["high"]
    assert covered >= 930


def test_counts_have_no_negative_interval_and_rewards_may_lie_below_0() -> None:
    assert estimate([0.0, 3.0], limits_of("false_alarms", Weights()))["low"] == 0
    assert limits_of("reward", Weights(latency=0.1, cost=0.2)) == (pytest.approx(-0.3), 1.0)
    assert limits_of("regret_percent", Weights()) == (-math.inf, 100.0)
    assert limits_of("success_rate", Weights()) == (0.0, 1.0)
