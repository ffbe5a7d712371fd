"""The acceptance tests of the design: what the e-process promises, on simulated experiments.

`make test` runs them short: fewer runs, and no more outcomes than show the claim. `make experiments-long` runs them in full.
Seeds are fixed, so that a limit is either met or not. The limits leave room for noise, and stand beside what was measured.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from support.canary_runs import World, outage, run_canaries
from support.session_streams import (
    Course,
    declared,
    declared_naively,
    first_crossing,
    first_fifth_is_bad,
    latencies,
    missed,
    ramp,
    sessions_by_stratum,
    share_of,
)

from centralcloud.experiments.e_process import NULLS, EProcess, Metric
from centralcloud.experiments.interval import interval
from centralcloud.experiments.sample_ratio import SampleRatio

_TIME = Metric(binary=False, ratio=True)
_TWO_SIDED = math.log(2 / 0.05)
_ONE_SIDED = math.log(1 / 0.05)


def _ramp_with_troubles() -> Course:
    return Course(20_000, share=ramp, drift=first_fifth_is_bad, lost=0.05)


@pytest.mark.parametrize(
    "course",
    [
        Course(20_000),
        Course(20_000, share=lambda _: 0.01),
        Course(20_000, share=lambda _: 0.2),
        _ramp_with_troubles(),
        Course(20_000, share=lambda _: 0.05, likeness=0.3),
    ],
    ids=["half", "1 percent", "20 percent", "ramp, drift and losses", "5 percent of very like sessions"],
)
def test_equal_arms_are_rarely_told_apart_however_often_one_looks(course: Course, long: bool) -> None:
    runs = 1000 if long else 150
    course = course if long else replace(course, outcomes=8_000)
    assert share_of(declared(course, runs=runs, seed=1)) <= 0.05  # full: 3.4, 0.5, 2.8, 1.9, 2.0 percent


@pytest.mark.parametrize("share", [0.5, 0.01])
def test_a_look_after_every_session_to_100_000_outcomes_finds_no_difference(share: float, long: bool) -> None:
    course = Course(100_000 if long else 6_000, share=lambda _: share)
    found = declared(course, runs=300 if long else 100, seed=2, looks=course.sessions)
    assert share_of(found) <= 0.07  # full: 5.0 and 1.3 percent


def test_the_naive_test_fails_in_the_same_harness() -> None:
    assert share_of(declared_naively(Course(20_000), runs=100, seed=3)) > 0.35  # 73 percent


@pytest.mark.parametrize(
    ("success", "effect", "by"),
    [(0.9, -0.05, 4_400), (0.95, -0.02, 14_500), (0.99, -0.01, 15_500), (0.6, -0.1, 2_900)],
)
def test_a_difference_is_found_in_four_of_five_experiments_by_so_many_outcomes(
    success: float, effect: float, by: int, long: bool
) -> None:
    course = Course(round(1.05 * by), success=success, effect=effect)
    looks = course.sessions if long else 200
    assert share_of(declared(course, runs=150 if long else 60, seed=4, looks=looks), by=by) >= 0.8


@pytest.mark.parametrize(
    ("effect", "course"),
    [
        (-0.03, Course(20_000)),
        (0.02, Course(20_000)),
        (-0.15, Course(20_000)),
        (0.0, Course(20_000, share=ramp, drift=first_fifth_is_bad)),
    ],
)
def test_the_interval_holds_the_truth_at_every_look(effect: float, course: Course, long: bool) -> None:
    course = replace(course, effect=effect, outcomes=20_000 if long else 2_000)
    ever, half_width = missed(course, effect, runs=600 if long else 30, seed=5, looks=100 if long else 20)
    assert ever <= 0.05  # full: 1.5, 1.7, 1.7, 2.7 percent
    if long and effect == 0.02:
        assert half_width <= 0.015


@pytest.mark.parametrize("share", [0.5, 0.01])
def test_equal_times_are_rarely_told_apart(share: float, long: bool) -> None:
    runs, outcomes = (300, 20_000) if long else (60, 2_000)
    stream = latencies(factor=1.0, share=share, outcomes=outcomes, runs=runs, seed=6, spread=1.5)
    process = EProcess([_TIME] * runs, strata=1, nulls=(0.0,))
    assert share_of(first_crossing(process, stream, _TWO_SIDED)) <= 0.07  # full: 3.3 and 3.7 percent


def test_a_quarter_more_time_is_found(long: bool) -> None:
    runs = 150 if long else 40
    stream = latencies(factor=1.25, share=0.5, outcomes=5_000, runs=runs, seed=7, spread=1.5)
    process = EProcess([_TIME] * runs, strata=1, nulls=(0.0,))
    assert share_of(first_crossing(process, stream, _TWO_SIDED), by=5_000) >= 0.8


@pytest.mark.parametrize("factor", [1.25, 2.0, 0.7])
def test_the_interval_of_a_ratio_holds_the_capped_ratio(factor: float, long: bool) -> None:
    runs, outcomes = (200, 10_000) if long else (25, 1_000)
    rng = np.random.default_rng(8)
    seconds = 2.0 * np.exp(rng.standard_normal(2_000_000)) * np.where(rng.random(2_000_000) < 0.005, 100.0, 1.0)
    truth = np.minimum(factor * seconds, 10).mean() / np.minimum(seconds, 10).mean() - 1
    process, low, high = EProcess([_TIME] * runs, strata=1), np.zeros(runs, bool), np.zeros(runs, bool)
    stream = latencies(factor=factor, share=0.5, outcomes=outcomes, runs=runs, seed=9, spread=1.0)
    for sessions in stream:
        process.fold(sessions)
        ends = interval(process)
        low, high = low | (ends[:, 0] > truth), high | (ends[:, 1] < truth)
    assert max(low.mean(), high.mean()) <= 0.045  # full: 3.5 percent at most on each side


def test_effects_that_cancel_over_the_complexities_are_not_found(long: bool) -> None:
    """With a variance for each stratum the bets were on a difference weighted by it: 90% called this "better"."""
    runs, sessions = (200, 5_000) if long else (60, 1_500)
    stream = sessions_by_stratum(
        (0.02, 0.02, 0.02, 0.0, -0.06), (0.97, 0.95, 0.9, 0.8, 0.7), sessions=sessions, runs=runs, seed=10
    )
    process = EProcess([Metric()] * runs, strata=5, nulls=(0.0,))
    assert share_of(first_crossing(process, stream, _ONE_SIDED, above_only=True)) <= 0.07  # full: 3.5 percent


def test_strata_need_fewer_outcomes_than_one_mean_for_all() -> None:
    effects, success, runs = (0.03,) * 5, (0.97, 0.95, 0.9, 0.8, 0.6), 60

    def outcomes(strata: int) -> float:
        process = EProcess([Metric()] * runs, strata=strata, nulls=(0.0,))
        stream = sessions_by_stratum(effects, success, sessions=2_500, runs=runs, seed=11)
        if strata == 1:
            stream = (
                each._replace(counts=each.counts.sum(-1, keepdims=True), sums=each.sums.sum(-1, keepdims=True))
                for each in stream
            )
        return float(np.median(first_crossing(process, stream, _TWO_SIDED)))

    assert outcomes(5) < outcomes(1)


def test_sessions_that_are_drawn_otherwise_than_recorded_are_noticed(long: bool) -> None:
    runs, sessions = (500, 10_000) if long else (100, 4_000)
    rng = np.random.default_rng(12)

    def alarms(drawn: float, recorded: float) -> float:
        test, ever = SampleRatio(runs), np.zeros(runs, dtype=bool)
        for _ in range(sessions // 100):
            test.fold(rng.random((100, runs)) < drawn, np.full((100, runs), recorded))
            ever |= test.alarms()
        return float(ever.mean())

    assert alarms(0.5, 0.5) <= 0.005 + (0.0 if long else 0.01)
    assert alarms(0.01, 0.01) <= 0.005 + (0.0 if long else 0.01)
    assert alarms(0.55, 0.5) >= 0.9  # full: all


def test_the_nulls_are_those_of_the_design() -> None:
    assert len(NULLS) == 41
    assert (NULLS[0], NULLS[20], NULLS[-1]) == (-0.5, 0.0, 0.5)


def _always(rate: float) -> Callable[[int], float]:
    return lambda _: rate


_MINUTE_50 = range(50, 52)
_TEN_MINUTES = range(50, 60)


@pytest.mark.parametrize(
    ("world", "status", "least", "most"),
    [
        (World(_always(0.95), _always(0.95)), "promoted", 0.95, 1.0),  # full: all
        (World(_always(0.95), _always(0.94)), "promoted", 0.0, 0.05),  # full: none
        (World(outage({_MINUTE_50: 0.0}, 0.95), _always(0.935)), "promoted", 0.0, 0.02),
        (World(outage({_TEN_MINUTES: 0.75}, 0.95), _always(0.935)), "promoted", 0.0, 0.02),
        (World(_always(0.95), outage({_MINUTE_50: 0.0}, 0.95)), "promoted", 0.93, 1.0),
        (World(_always(0.6), _always(0.6), minutes=150), "rolled_back", 0.0, 0.03),
    ],
    ids=[
        "equal",
        "worse by the margin",
        "outage of control",
        "brownout of control",
        "outage of treatment",
        "six of ten",
    ],
)
def test_canaries_end_as_their_models_deserve(world: World, status: str, least: float, most: float, long: bool) -> None:
    result = run_canaries(world, runs=300 if long else 6, seed=1)
    assert least <= result.share(status) <= most
    if status == "rolled_back":
        assert result.bad_minutes.mean() < 1


@pytest.mark.parametrize(
    ("rate", "runs", "most"),
    [(0.0, 60, 20), (0.7, 100, 60), (0.9, 20, 750)],
    ids=["dead", "70 percent", "90 percent"],
)
def test_a_worse_model_is_paused_after_few_outcomes(rate: float, runs: int, most: int, long: bool) -> None:
    result = run_canaries(World(_always(0.95), _always(rate), minutes=150), runs=300 if long else runs, seed=2)
    assert result.share("rolled_back") >= 0.99
    assert np.median(result.treated_at_pause) <= most  # full: 15, 45.5, 549
