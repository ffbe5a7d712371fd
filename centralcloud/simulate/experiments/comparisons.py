"""A comparison of several arms with control, many times: each treatment at a fixed share, looked at until the horizon.

The probability of an error is divided among the treatments. Evidence may be looked at at any time, so that a difference
counts from the first look at which it is declared.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from centralcloud.experiments.canary_evidence import CAPPED, SUCCESS
from centralcloud.experiments.e_process import EProcess, Sessions
from centralcloud.experiments.interval import interval
from centralcloud.runtime.arrays import Floats, Integers, np
from centralcloud.simulate.experiments.open_sessions import Waiting, arrange
from centralcloud.simulate.experiments.scenario import CONTROL, Comparison, Experiment
from centralcloud.simulate.experiments.sessions import Batch, SessionSource, Splits


class ComparisonResult(NamedTuple):
    """The result of a comparison for one metric of a treatment.

    Attributes:
        higher: whether treatment was declared higher than control; None: neither was declared.
        seconds, outcomes: until it was declared; outcomes of all arms. None: it was not.
        low, high: the interval at the end, of the difference; of a ratio less 1.
    """

    higher: bool | None
    seconds: float | None
    outcomes: int | None
    low: float
    high: float


class ComparisonRun(NamedTuple):
    """One comparison.

    Attributes:
        metrics: of each treatment, the result of each metric.
        seconds: until the horizon, or the end of the simulation.
        requests: of all arms until then.
    """

    metrics: list[list[ComparisonResult]]
    seconds: float
    requests: int


def simulate_comparisons(experiment: Experiment, seeds: Sequence[int]) -> list[ComparisonRun]:
    """Simulate a comparison once for each seed, side by side."""
    return _Simulation(experiment, seeds).results()


class _Simulation:
    def __init__(self, experiment: Experiment, seeds: Sequence[int]) -> None:
        assert isinstance(experiment.plan, Comparison)
        self._experiment, self._plan, self._runs = experiment, experiment.plan, len(seeds)
        self._metrics, self._treatments = experiment.metrics, len(experiment.names)
        kinds = [SUCCESS if metric == "success" else CAPPED for metric in self._metrics]
        # The columns: a treatment's, in them a metric's, in them the runs.
        columns = [kind for _ in range(self._treatments) for kind in kinds for _ in range(self._runs)]
        self._process = EProcess(columns, strata=experiment.strata)
        self._zero = self._process.nulls.tolist().index(0.0)
        self._source = SessionSource(experiment, np.random.default_rng(list(seeds)))
        self._waiting = Waiting(experiment.look)
        shares = np.full(self._runs, self._plan.share)
        self._splits = Splits(self._treatments, shares, shares)
        self._no_spells: Integers = np.zeros(self._runs, dtype=np.int64)
        self._outcomes: Floats = np.zeros(self._runs)
        self._ended: Floats = np.full(self._runs, np.inf)
        self._requests: Floats = np.zeros(self._runs)
        #: For each column: whether treatment is higher (1) or lower (-1), when, and after how many outcomes.
        self._declared: Floats = np.zeros((len(columns), 3))

    def results(self) -> list[ComparisonRun]:
        look = self._experiment.look
        for number in range(math.floor(self._experiment.length / look)):
            now = (number + 1) * look
            open_ = np.isinf(self._ended)
            batch = self._source.draw(now - look, now, np.flatnonzero(open_), self._splits, self._no_spells)
            self._requests += np.bincount(batch.run, batch.requests, self._runs)
            self._waiting.add(batch, batch.fold_at)
            folded = self._waiting.take(now)
            self._fold(folded.chosen(open_[folded.run]))
            self._declare(now, open_)
            self._ended[open_ & (self._outcomes >= self._plan.horizon_outcomes)] = now
            if np.isfinite(self._ended).all():
                break
        ends = interval(self._process, alpha=self._plan.alpha / self._treatments)
        return [self._run(run, ends) for run in range(self._runs)]

    def _fold(self, batch: Batch) -> None:
        self._outcomes += np.bincount(batch.run, batch.requests, self._runs)
        parts = []
        for treatment in range(1, self._treatments + 1):
            chosen = batch.chosen((batch.arm == CONTROL) | (batch.arm == treatment))
            counted = np.ones(len(chosen.owner), dtype=bool)
            parts += [
                arrange(chosen, counted, metric, runs=self._runs, strata=self._experiment.strata)
                for metric in self._metrics
            ]
        longest = max(len(part.treated) for part in parts)
        filled = [_filled(part, longest) for part in parts]
        self._process.fold(Sessions(*(np.concatenate(each, axis=1) for each in zip(*filled, strict=True))))

    def _declare(self, now: float, open_: Floats) -> None:
        needed = math.log(2 * self._treatments / self._plan.alpha)
        above = self._process.log_above()[:, self._zero] >= needed
        below = self._process.log_below()[:, self._zero] >= needed
        of_run = np.arange(len(above)) % self._runs
        new = (above | below) & (self._declared[:, 0] == 0) & open_[of_run]
        self._declared[new, 0] = np.where(above, 1.0, -1.0)[new]
        self._declared[new, 1] = now
        self._declared[new, 2] = self._outcomes[of_run][new]

    def _run(self, run: int, ends: Floats) -> ComparisonRun:
        metrics = [
            [
                self._of_column((treatment * len(self._metrics) + metric) * self._runs + run, ends)
                for metric in range(len(self._metrics))
            ]
            for treatment in range(self._treatments)
        ]
        seconds = min(float(self._ended[run]), self._experiment.length)
        return ComparisonRun(metrics, seconds, int(self._requests[run]))

    def _of_column(self, column: int, ends: Floats) -> ComparisonResult:
        direction, seconds, outcomes = self._declared[column].tolist()
        low, high = ends[column].tolist()
        if not direction:
            return ComparisonResult(None, None, None, low, high)
        return ComparisonResult(direction > 0, seconds, int(outcomes), low, high)


_EMPTY_SHARE: Final = 0.5


def _filled(part: Sessions, length: int) -> Sessions:
    """Return sessions with empty ones below them."""
    missing = length - len(part.treated)
    if not missing:
        return part
    return Sessions(
        *(
            np.concatenate([each, np.full((missing, *each.shape[1:]), fill, dtype=each.dtype)])
            for each, fill in zip(part, (False, _EMPTY_SHARE, 0.0, 0.0, 0.0), strict=True)
        )
    )
