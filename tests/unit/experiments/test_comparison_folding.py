"""Sessions of a batch in the evidence: bad minutes, rewards, windows."""

import math

import numpy as np
import pytest

from centralcloud.contracts.canary import CanaryPlan
from centralcloud.contracts.fleet_configuration import ExperimentPlan
from centralcloud.experiments.comparison_folding import count_decisions, fold_sessions, judge_minutes
from centralcloud.experiments.comparison_state import Comparison, read_comparison
from centralcloud.experiments.e_process import EProcess, Metric, Sessions
from centralcloud.experiments.session_batches import (
    ARRIVED,
    CONTROL,
    COUNTS,
    REWARDED,
    Clock,
    Decisions,
    FoldedSessions,
    outcome_type,
)

_CANARY, _PLAN = CanaryPlan(), ExperimentPlan()
_MINUTE, _IDLE = 60, 600


def _outcomes(minutes: list[int], x: list[float], flags: int = ARRIVED | COUNTS) -> "np.ndarray":
    outcomes = np.zeros(len(minutes), dtype=outcome_type())
    outcomes["minute"], outcomes["x"], outcomes["flags"] = minutes, x, flags
    outcomes["ms"] = outcomes["cost"] = -1.0
    return outcomes


def _sessions(minutes: list[int], x: list[list[float]], flags: int = ARRIVED | COUNTS) -> FoldedSessions:
    """Sessions of alternating arms, each with all its outcomes in the minute in which it is folded."""
    of = np.repeat(np.arange(len(x)), [len(each) for each in x])
    return FoldedSessions(
        np.array(minutes),
        np.where(np.arange(len(x)) % 2 == 1, 0, CONTROL),
        np.full(len(x), 0.5),
        of,
        _outcomes([minutes[each] for each in of], [value for each in x for value in each], flags),
    )


def _fold(comparison: Comparison, sessions: FoldedSessions, first: int, until: int) -> None:
    fold_sessions(comparison, 0, sessions, _PLAN, first, Clock(_MINUTE, _IDLE, until * _MINUTE), alpha=0.05)


def test_the_golden_values_of_the_statistics() -> None:
    comparison = Comparison(_CANARY)
    x = [[float((7 * i + 3 * j) % 100 < (90 if i % 2 else 80)) for j in range(1 + (i // 2) % 4)] for i in range(2000)]
    zero = int(np.flatnonzero(comparison.intervals.nulls == 0)[0])
    found, done = [], 0
    for upto in (10, 100, 1000, 2000):
        _fold(comparison, _sessions(list(range(done, upto)), x[done:upto]), done, upto)
        done = upto
        process = comparison.intervals
        found.append((process.log_above()[0, zero], process.log_below()[0, zero]))
    assert found == [
        (pytest.approx(-0.158775, abs=1e-6), pytest.approx(0.069897, abs=1e-6)),
        (pytest.approx(0.601906, abs=1e-6), pytest.approx(-2.081794, abs=1e-6)),
        (pytest.approx(9.895551, abs=1e-6), pytest.approx(-4.198211, abs=1e-6)),
        (pytest.approx(21.251367, abs=1e-6), pytest.approx(-6.140072, abs=1e-6)),
    ]
    low, high = comparison.possible[0]
    assert (low, high) == (pytest.approx(0.0545, abs=1e-3), pytest.approx(0.1569, abs=1e-3))


def test_no_window_multiplies_the_evidence_for_a_promotion_by_more_than_two() -> None:
    x = [[float(i % 2)] * 4 for i in range(400)]
    comparison = Comparison(_CANARY)
    _fold(comparison, _sessions([0] * 400, x), 0, 1)
    assert comparison.canary.facts()[0].within_margin == pytest.approx(math.log(2))
    _fold(comparison, _sessions([9] * 400, x), 1, 10)
    assert comparison.canary.facts()[0].within_margin == pytest.approx(math.log(2)), "the same window"
    _fold(comparison, _sessions([10] * 400, x), 10, 11)
    assert comparison.canary.facts()[0].within_margin == pytest.approx(2 * math.log(2))


def _decisions(minute: int, arm: int, sessions: int, x: float) -> Decisions:
    key = np.arange(sessions) + 1000 * minute + 500 * (arm + 1)
    outcomes = _outcomes([minute] * sessions, [x] * sessions)
    at, arms = np.full(sessions, minute * _MINUTE), np.full(sessions, arm)
    return Decisions(key, at, np.zeros(sessions, dtype=bool), arms, np.full(sessions, 0.5), outcomes)


def _both(*parts: Decisions) -> Decisions:
    return Decisions(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def test_an_outage_is_left_out_by_outcome_and_arm() -> None:
    """A minute in which control fails is left out everywhere; one in which treatment does, only of a promotion."""
    comparison = Comparison(_CANARY)
    usual = [_decisions(minute, arm, 30, 1.0) for minute in range(10) for arm in (CONTROL, 0)]
    outages = [_decisions(10, CONTROL, 10, 0.0), _decisions(11, CONTROL, 10, 1.0), _decisions(11, 0, 10, 0.0)]
    judge_minutes(comparison, 0, _both(*usual, *outages), 0, Clock(_MINUTE, _IDLE, 12 * _MINUTE))
    assert comparison.bad_minutes.tolist() == [[10, 1], [11, 2]]
    of = np.repeat(np.arange(6), 3)
    # Each session has an outcome in minutes 9, 10 and 11.
    sessions = FoldedSessions(
        np.full(6, 12),
        np.array([CONTROL, 0] * 3),
        np.full(6, 0.5),
        of,
        _outcomes([9, 10, 11] * 6, [1.0, 0.0, 0.0] * 6),
    )
    _fold(comparison, sessions, 12, 13)
    assert comparison.intervals.totals[0].tolist() == [6.0, 6.0, 18.0]
    assert comparison.canary.rollback.totals[0].tolist() == [6.0, 6.0, 12.0]
    assert comparison.canary.promotion.totals[0].tolist() == [6.0, 6.0, 6.0]
    judge_minutes(comparison, 0, _decisions(200, 0, 1, 1.0), 12, Clock(_MINUTE, _IDLE, 2000 * _MINUTE))
    assert not len(comparison.bad_minutes), "no open session is so old"


def test_rewards_count_as_numbers_from_the_first_one_on() -> None:
    x = [[1.0], [0.0], [0.5, 1.0], [0.25]]
    comparison, pure = Comparison(_CANARY), EProcess([Metric()], strata=1)
    first = _sessions([0, 0, 0, 0], x, ARRIVED | COUNTS)
    first.outcomes["flags"][2:] |= REWARDED
    _fold(comparison, first, 0, 1)
    for number, each in enumerate(x):
        if number == 3:
            pure.expect_rewards(0)
        n, total = np.array([[[len(each)]]], dtype=float), np.array([[[sum(each)]]])
        squares = np.array([[sum(value * value for value in each)]])
        pure.fold(Sessions(np.array([[number % 2 == 1]]), np.array([[0.5]]), n, total, squares))
    assert comparison.is_graded
    assert comparison.intervals.above[0] == pytest.approx(pure.above[0], abs=1e-12)
    assert read_comparison(_CANARY, comparison.to_bytes()).is_graded


def test_counts_and_times_by_arm() -> None:
    comparison = Comparison(_CANARY)
    decisions = _both(_decisions(0, CONTROL, 3, 1.0), _decisions(0, 0, 2, 1.0))
    decisions.outcomes["ms"][:3] = [1.0, 100.0, 1e9]
    count_decisions(comparison, 0, decisions, np.array([True, True, False, True, False]), {})
    assert comparison.counts[:, :2].tolist() == [[3.0, 2.0], [2.0, 1.0]]
    assert comparison.times.sum(axis=1).tolist() == [3.0, 0.0]
    assert np.flatnonzero(comparison.times[0]).tolist() == [0, 21, 63]
