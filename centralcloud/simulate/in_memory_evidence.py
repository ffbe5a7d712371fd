"""Evidence in memory, in place of the database that the daemon uses."""

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from centralcloud.learning.evidence import RECENT_SLICES, Evidence, Pair, RecentOutcomes, Sums
from centralcloud.runtime.arrays import Floats, Integers
from centralcloud.simulate.ground_truth import share_of
from centralcloud.simulate.reports import Reports
from centralcloud.simulate.scenario import Weights

#: The simulated clock: its start, and the duration of a task. Rules only show times; none computes with them.
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_TASK: Final = timedelta(seconds=1)


class InMemoryEvidence:
    """The reports of every slice, and the sums of those that are counted."""

    def __init__(self, pairs: tuple[Pair, ...], task_types: tuple[str, ...], instances: int, weights: Weights) -> None:
        self._pairs = pairs
        self._task_types = task_types
        self._names = tuple(f"instance-{number}" for number in range(instances))
        self._number = {name: number for number, name in enumerate(self._names)}
        self._weights = weights
        self._slices: list[tuple[Reports, datetime]] = []
        self._recent: deque[tuple[Floats, Floats]] = deque(maxlen=RECENT_SLICES)
        self._evidence = Evidence()

    def add_slice(self, reports: Reports, first_event: int) -> None:
        """Close a slice that holds `reports` and was opened at task `first_event`."""
        self._slices.append((reports, _START + first_event * _TASK))
        cells = len(self._names) * len(self._pairs)
        cell = reports.instance * len(self._pairs) + reports.pair
        shape = len(self._names), len(self._pairs)
        outcomes = np.bincount(cell, minlength=cells).reshape(shape).astype(np.float64)
        reward = np.bincount(cell, weights=reports.reward, minlength=cells).reshape(shape).astype(np.float64)
        self._recent.append((outcomes, reward))

    @property
    def slices(self) -> int:
        """Number of closed slices."""
        return len(self._slices)

    def recent(self) -> RecentOutcomes:
        """Return the outcomes of the newest slices, instance by instance."""
        outcomes, reward = (np.sum([both[part] for both in self._recent], axis=0) for part in range(2))
        return RecentOutcomes(self._names, self._pairs, outcomes, reward)

    def instance_number(self, name: str) -> int:
        """Return the number of an instance, counted from 0."""
        return self._number[name]

    def without(self, excluded: frozenset[str]) -> Evidence:
        """Return the evidence of every slice, without the reports of excluded instances."""
        if excluded != self._evidence.excluded:
            self._evidence = Evidence(excluded=excluded)
        left_out = np.array([self._number[name] for name in sorted(excluded)], dtype=np.int64)
        for number in range(self._evidence.size, len(self._slices)):
            reports, opened_at = self._slices[number]
            if len(left_out):
                reports = reports.chosen(np.flatnonzero(~np.isin(reports.instance, left_out)))
            self._evidence.append(number + 1, opened_at, self._sums(reports))
            self._evidence.tasks.append(number + 1, sums_by_task(reports, self._pairs, self._task_types))
        return self._evidence

    def _sums(self, reports: Reports) -> dict[Pair, Sums]:
        timed, priced = ~np.isnan(reports.latency_ms), ~np.isnan(reports.cost_usd)
        weights = self._weights
        parts = (
            None,
            reports.reward,
            reports.reward * reports.reward,
            timed,
            np.where(timed, reports.latency_ms, 0.0),
            share_of(reports.latency_ms, weights.latency_ref_ms),
            priced,
            share_of(reports.cost_usd, weights.cost_ref_usd),
        )
        columns = [_by_pair(reports.pair, part, len(self._pairs)) for part in parts]
        return {
            self._pairs[pair]: Sums(
                outcomes=n,
                successes=reward,  # the threshold rule counts graded successes by their sum here
                reward=reward,
                reward_squares=squares,
                timed=with_time,
                response_time_ms=time_ms,
                latency=latency,
                priced=with_cost,
                cost=cost,
                routed=n,
            )
            for pair, (n, reward, squares, with_time, time_ms, latency, with_cost, cost) in enumerate(
                zip(*columns, strict=True)
            )
            if n
        }


def sums_by_task(
    reports: Reports, pairs: tuple[Pair, ...], task_types: tuple[str, ...]
) -> dict[tuple[str, str, str], tuple[float, float]]:
    """Return the outcomes and the reward of each (model, complexity, task type) that has reports."""
    if not task_types:
        return {}
    cell = reports.pair * len(task_types) + reports.task_type
    outcomes, reward = (np.bincount(cell, weights=weights) for weights in (None, reports.reward))
    return {
        (*pairs[each // len(task_types)], task_types[each % len(task_types)]): (
            float(outcomes[each]),
            float(reward[each]),
        )
        for each in np.flatnonzero(outcomes).tolist()
    }


def _by_pair(pair: Integers, weights: Floats | None, pairs: int) -> list[float]:
    return np.bincount(pair, weights=weights, minlength=pairs).astype(np.float64).tolist()  # type: ignore[no-any-return]
