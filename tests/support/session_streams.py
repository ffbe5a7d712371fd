"""Sessions of many simulated experiments side by side, and what a test that may be looked at must survive."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from centralcloud.experiments.e_process import EProcess, Metric, Sessions
from centralcloud.experiments.interval import interval

Floats = NDArray[np.float64]
#: Lengths of sessions: 1 to 20 outcomes, 4 on average.
LENGTHS = np.arange(1, 21)
OF_LENGTH = 0.75 ** (LENGTHS - 1) / (0.75 ** (LENGTHS - 1)).sum()
#: Sessions between two looks, where a test does not say.
_BLOCK = 25
_MEAN_LENGTH = float((LENGTHS * OF_LENGTH).sum())


@dataclass(frozen=True)
class Course:
    """How an experiment runs. Functions take the part of it that is over, 0 to 1.

    Attributes:
        outcomes: in all, about; sessions have 4 on average.
        success: of control.
        effect: of treatment, added to it.
        share: of treatment.
        likeness: intraclass correlation of the outcomes of a session.
        drift: added to the success of both arms.
        lost: share of outcomes that never arrive: failures, in both arms.
    """

    outcomes: int
    success: float = 0.95
    effect: float = 0.0
    share: Callable[[float], float] = lambda _: 0.5
    likeness: float = 0.1
    drift: Callable[[float], float] = lambda _: 0.0
    lost: float = 0.0

    @property
    def sessions(self) -> int:
        return round(self.outcomes / _MEAN_LENGTH)


def ramp(over: float) -> float:
    """1, 5, 25, 50 percent, a quarter of the time each."""
    return (0.01, 0.05, 0.25, 0.5)[min(3, int(4 * over))]


def first_fifth_is_bad(over: float) -> float:
    return -0.1 if over < 0.2 else 0.0


def sessions_of(course: Course, runs: int, seed: int, *, looks: int) -> Iterator[Sessions]:
    """Yield the sessions of every run, those between two looks together."""
    rng = np.random.default_rng(seed)
    block = max(1, course.sessions // looks)
    for first in range(0, course.sessions - block + 1, block):
        over = first / course.sessions
        share = course.share(over)
        shape = (block, runs)
        treated = rng.random(shape) < share
        rate = np.clip(course.success + course.drift(over) + course.effect * treated, 0.0, 1.0)
        counts, sums = outcomes_of(rng, rate, course.likeness, 1 - course.lost)
        yield Sessions(treated, np.full(shape, share), counts[..., None], sums[..., None], sums)


def outcomes_of(
    rng: np.random.Generator, rate: Floats, likeness: float, arriving: float = 1.0
) -> tuple[Floats, Floats]:
    """Return how many outcomes sessions have, and how many of them are successes; at these rates on average."""
    counts = rng.choice(LENGTHS, rate.shape, p=OF_LENGTH)
    if likeness:
        scale = (1 - likeness) / likeness
        rate = rng.beta(np.maximum(rate * scale, 1e-9), np.maximum((1 - rate) * scale, 1e-9))
    return counts.astype(float), rng.binomial(counts, rate * arriving).astype(float)


def declared(course: Course, *, runs: int, seed: int, alpha: float = 0.05, looks: int = 200) -> Floats:
    """Return for each run after how many outcomes it declared a difference, at one of the looks; infinite: never."""
    process = EProcess([Metric()] * runs, strata=1, nulls=(0.0,))
    return first_crossing(process, sessions_of(course, runs, seed, looks=looks), math.log(2 / alpha))


def declared_naively(course: Course, *, runs: int, seed: int, looks: int = 200) -> Floats:
    """The same of the z-test of two shares at the level of 5%, which is for one look."""
    successes, counts = np.zeros((runs, 2)), np.zeros((runs, 2))
    found = np.full(runs, np.inf)
    for sessions in sessions_of(course, runs, seed, looks=looks):
        for arm in (0, 1):
            there = sessions.treated == bool(arm)
            successes[:, arm] += (sessions.sums[..., 0] * there).sum(axis=0)
            counts[:, arm] += (sessions.counts[..., 0] * there).sum(axis=0)
        n = np.maximum(counts, 1)
        pooled = successes.sum(axis=1) / n.sum(axis=1)
        error = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-9) * (1 / n).sum(axis=1))
        declares = np.abs(np.diff(successes / n, axis=1)[:, 0]) / error > 1.96
        new = declares & np.isinf(found)
        found[new] = counts.sum(axis=1)[new]
    return found


def missed(course: Course, truth: float, *, runs: int, seed: int, looks: int) -> tuple[float, float]:
    """Return the share of runs whose 95% interval ever missed the truth, and the half of the last one's median width."""
    process, ends = EProcess([Metric()] * runs, strata=1), np.zeros((runs, 2))
    ever = np.zeros(runs, dtype=bool)
    for sessions in sessions_of(course, runs, seed, looks=looks):
        process.fold(sessions)
        ends = interval(process)
        ever |= (ends[:, 0] > truth) | (ends[:, 1] < truth)
    return float(ever.mean()), float(np.median(np.diff(ends, axis=1)) / 2)


def share_of(found: Floats, *, by: float = math.inf) -> float:
    """Return the share of runs that declared a difference, by so many outcomes."""
    return float(((found <= by) & np.isfinite(found)).mean())


def sessions_by_stratum(
    effects: Sequence[float], success: Sequence[float], *, sessions: int, runs: int, seed: int
) -> Iterator[Sessions]:
    """Yield sessions at a share of one half, each of one stratum; treatment has an effect of its own in each."""
    rng = np.random.default_rng(seed)
    shape = (_BLOCK, runs)
    for _ in range(sessions // _BLOCK):
        treated = rng.random(shape) < 0.5
        stratum = rng.integers(0, len(effects), shape)
        rate = np.asarray(success)[stratum] + np.asarray(effects)[stratum] * treated
        counts, sums = outcomes_of(rng, rate, 0.0)
        chosen = np.eye(len(effects))[stratum]
        yield Sessions(treated, np.full(shape, 0.5), chosen * counts[..., None], chosen * sums[..., None], sums)


def latencies(
    *, factor: float, share: float, outcomes: int, runs: int, seed: int, spread: float = 1.5, cap_seconds: float = 10.0
) -> Iterator[Sessions]:
    """Yield capped times, one outcome a session: lognormal with a median of 2 s, and 0.5% that take 100 times as long."""
    rng = np.random.default_rng(seed)
    shape = (_BLOCK, runs)
    for _ in range(outcomes // _BLOCK):
        treated = rng.random(shape) < share
        seconds = 2.0 * np.exp(spread * rng.standard_normal(shape)) * np.where(treated, factor, 1.0)
        seconds *= np.where(rng.random(shape) < 0.005, 100.0, 1.0)
        x = np.minimum(seconds, cap_seconds) / cap_seconds
        yield Sessions(treated, np.full(shape, share), np.ones((*shape, 1)), x[..., None], x * x)


def first_crossing(process: EProcess, stream: Iterable[Sessions], needed: float, *, above_only: bool = False) -> Floats:
    """Fold a stream; return after how many outcomes each run first had that much evidence at null 0; infinite: never."""
    zero = process.nulls.tolist().index(0.0)
    found = np.full(len(process.above), np.inf)
    for sessions in stream:
        process.fold(sessions)
        evidence = process.log_above() if above_only else np.maximum(process.log_above(), process.log_below())
        new = (evidence[:, zero] >= needed) & np.isinf(found)
        found[new] = process.totals[new, 2]
    return found
