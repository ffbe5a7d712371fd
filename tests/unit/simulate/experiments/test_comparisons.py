"""Comparisons of several arms: an equal arm is not told apart, a worse one is, and the rest of its sessions wait."""

import math

import numpy as np
import pytest

from centralcloud.experiments.interval import interval
from centralcloud.simulate.experiments.comparisons import _Simulation, simulate_comparisons
from centralcloud.simulate.experiments.reports import simulate_experiment
from centralcloud.simulate.experiments.scenario import Arm, Comparison, Experiment, Folding, Traffic

_EQUAL = Arm(success=(0.9,), latency_ms=(1000.0,))
_WORSE = Arm(success=(0.7,), latency_ms=(1350.0,))
_EXPERIMENT = Experiment(
    names=("equal", "worse"),
    arms=(_EQUAL, _EQUAL, _WORSE),
    traffic=Traffic(request_gap=15.0, latency_spread=0.4),
    plan=Comparison(share=1 / 3, horizon_outcomes=1_500),
    folding=Folding(idle=300.0, wait=60.0),
)


def test_each_treatment_is_compared_with_control_alone() -> None:
    for run in simulate_comparisons(_EXPERIMENT, range(2)):
        (success, latency), (lower, slower) = run.metrics
        assert (success.higher, latency.higher) == (None, None)
        assert (lower.higher, slower.higher) == (False, True)
        assert success.low < 0 < success.high
        assert lower.high < 0 < slower.low
        assert lower.outcomes is not None
        assert lower.outcomes <= 1_500
        assert run.requests > 1_500, "sessions that are not folded yet have cost traffic, too"


def test_the_probability_of_an_error_is_divided_among_the_treatments() -> None:
    simulation = _Simulation(_EXPERIMENT, (1,))
    (success, _), _ = simulation.results()[0].metrics
    assert (success.low, success.high) == tuple(interval(simulation._process, alpha=0.05 / 2)[0])


def test_a_difference_is_declared_at_the_odds_of_all_treatments_and_both_directions() -> None:
    simulation = _Simulation(_EXPERIMENT, (1,))
    everything = np.array([True])
    simulation._process.above[0] = math.log(2 * 2 / 0.05) - 1e-6
    simulation._declare(60.0, everything)
    assert simulation._declared[0, 0] == 0
    simulation._process.above[0] += 2e-6
    simulation._declare(120.0, everything)
    simulation._declare(180.0, everything)
    assert simulation._declared[0].tolist() == [1.0, 120.0, 0.0]


def test_the_report_has_shares_with_errors_and_does_not_depend_on_the_processes() -> None:
    one, two = (simulate_experiment(_EXPERIMENT, range(6), jobs=jobs) for jobs in (1, 2))
    assert {**one, "elapsed_seconds": 0} == {**two, "elapsed_seconds": 0}
    equal, worse = one["treatments"]
    assert worse["metrics"]["success"]["lower"] == {"share": 1.0, "standard_error": pytest.approx(0.135, abs=0.001)}
    assert equal["metrics"]["success"]["declared_seconds"] == {"median": None, "p90": None}
    assert worse["metrics"]["latency"]["declared_seconds"]["median"] > 300
