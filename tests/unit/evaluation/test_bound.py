"""A lower bound for the mean of values that are never negative."""

import math

import numpy as np
import pytest

from centralcloud.evaluation.bound import log_wealth, lower_bound


def test_the_wealth_of_a_small_case_is_that_of_the_formulas() -> None:
    by_hand = []
    for halvings in range(10):
        bet = 0.9 / 0.5 / 2**halvings
        by_hand.append((1 + bet * (2.0 - 0.5)) * (1 + bet * (0.0 - 0.5)))
    found = log_wealth(np.array([2.0, 0.0]), 0.5)
    assert found[1] == pytest.approx(math.log(sum(by_hand) / 10), abs=1e-12)


def test_a_bound_is_the_largest_mean_that_the_wealth_excludes() -> None:
    values = (np.random.default_rng(1).random(5000) < 0.9).astype(np.float64)
    low = lower_bound(values, alpha=0.05)
    assert 0.87 < low < 0.9
    assert log_wealth(values, low)[-1] >= math.log(20)
    assert log_wealth(values, low + 1 / 1024)[-1] < math.log(20)


def test_it_is_above_the_truth_at_any_time_in_at_most_5_percent_of_the_runs() -> None:
    """Weights up to 50, drawn with 0.9, 0.08 and 0.02 for a table that wants the last one in half of the cases."""
    rng, runs, size, alpha = np.random.default_rng(7), 250, 1500, 0.05
    drawn, wanted, success = np.array([0.9, 0.08, 0.02]), np.array([0.3, 0.2, 0.5]), np.array([0.9, 0.8, 0.95])
    truth = float(wanted @ success)
    model = np.searchsorted(np.cumsum(drawn)[:-1], rng.random((size, runs)), side="right")
    x = rng.random((size, runs)) < success[model]
    clipped = np.minimum((wanted / drawn)[model], 50.0)
    for outcomes, mean in ((x, truth), (~x, 1 - truth)):
        ever = (log_wealth(clipped * outcomes, mean) >= math.log(1 / alpha)).any(axis=0).mean()
        assert ever <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / runs)
        assert ever <= 0.05
    # The test can fail: values that are worth more than they should be exceed it often.
    too_high = (log_wealth(1.3 * clipped * x, truth) >= math.log(1 / alpha)).any(axis=0).mean()
    assert too_high > 0.12


def test_it_holds_for_the_mean_of_values_that_drift() -> None:
    rng, runs, size = np.random.default_rng(3), 100, 2000
    chance = np.concatenate([np.full(size // 2, 0.5), np.full(size // 2, 0.95)])[:, None]
    x = (rng.random((size, runs)) < chance).astype(np.float64)
    assert (log_wealth(x, 0.725)[-1] >= math.log(20)).mean() <= 0.05


def test_nothing_is_known_without_values() -> None:
    assert lower_bound(np.array([])) == 0.0
    assert lower_bound(np.zeros(100)) == 0.0
