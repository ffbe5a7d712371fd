"""Sessions of simulated experiments: which arm serves each, when its requests come, and when their outcomes are known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final

from centralcloud.runtime.arrays import Booleans, Floats, Integers, np
from centralcloud.simulate.experiments.scenario import CONTROL, Experiment

#: A session has at most this many requests that count.
MOST_REQUESTS: Final = 20
_MINUTE: Final = 60.0
_BISECTIONS: Final = 60


@dataclass(frozen=True, slots=True)
class Batch:
    """S sessions with D requests, those of a session together and in their order. Times are in seconds.

    Attributes:
        run: (S,) the number of the experiment.
        arm: (S,) 0 is control.
        share: (S,) the probability of its treatment among the two arms, at its first request.
        spell: (S,) how often treatment had lost its traffic before.
        fold_at: (S,) when it is folded.
        owner: (D,) its session.
        at: (D,) the time.
        complexity: (D,) its number.
        arrives: (D,) when its outcome is known; infinite: not in time.
        success: (D,) whether an outcome that says so is known in time.
        latency, cost: (D,) divided by the cap; where they are not compared, 0.
    """

    run: Integers
    arm: Integers
    share: Floats
    spell: Integers
    fold_at: Floats
    owner: Integers
    at: Floats
    complexity: Integers
    arrives: Floats
    success: Booleans
    latency: Floats
    cost: Floats

    @property
    def requests(self) -> Integers:
        """(S,) of each session."""
        found: Integers = np.bincount(self.owner, minlength=len(self.run))
        return found

    def chosen(self, sessions: Booleans | Integers) -> "Batch":
        """Return some of the sessions, in the order that is asked for."""
        where = np.arange(len(self.run))[sessions]
        requests = self.requests
        first = np.cumsum(requests) - requests
        counts = requests[where]
        owner = np.repeat(np.arange(len(where)), counts)
        place = np.arange(len(owner)) + np.repeat(first[where] - (np.cumsum(counts) - counts), counts)
        of_sessions = {name: getattr(self, name)[where] for name in _OF_SESSIONS}
        return Batch(**of_sessions, owner=owner, **{name: getattr(self, name)[place] for name in _OF_REQUESTS})

    @staticmethod
    def empty() -> "Batch":
        """Return no sessions."""
        none, numbers, flags = np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool)
        return Batch(numbers, numbers, none, numbers, none, numbers, none, numbers, none, flags, none, none)

    @staticmethod
    def joined(batches: Sequence["Batch"]) -> "Batch":
        """Return the sessions of all of them; at least one batch."""
        offsets = np.cumsum([0, *(len(each.run) for each in batches)])
        owner = np.concatenate([each.owner + offset for each, offset in zip(batches, offsets, strict=False)])
        parts: dict[str, Any] = {
            name: np.concatenate([getattr(each, name) for each in batches]) for name in (*_OF_SESSIONS, *_OF_REQUESTS)
        }
        return Batch(owner=owner, **parts)


_NAMES = [each.name for each in fields(Batch)]
_OF_SESSIONS = _NAMES[: _NAMES.index("owner")]
_OF_REQUESTS = _NAMES[_NAMES.index("owner") + 1 :]


@dataclass(frozen=True, slots=True)
class Splits:
    """How the sessions of R experiments are split, as `contracts.experiment_arms.Split` says of one.

    Attributes:
        treatments: their number.
        share: (R,) of each treatment.
        before: (R,) the share until the step, while sessions from that time may be open; otherwise that of `share`.
    """

    treatments: int
    share: Floats
    before: Floats

    def assign(self, run: Integers, position: Floats) -> tuple[Integers, Floats]:
        """Return the arms of sessions at these positions, 0 to 1, and with which share they are weighed; 0: not compared."""
        share, before = self.share[run], self.before[run]
        number = np.minimum((position * self.treatments).astype(np.int64), self.treatments - 1)
        offset = position - number / self.treatments
        given = np.minimum(before, share)
        control = 1 - self.treatments * np.maximum(before, share)
        weight = np.where((given > 0) & (control > 0), given / np.maximum(given + control, 1e-12), 0.0)
        treated = offset < given
        weight[~treated & (offset < np.maximum(before, share))] = 0.0
        arm: Integers = np.where(treated, number + 1, CONTROL)
        return arm, weight


@cache
def lengths_of_sessions(mean: float) -> tuple[float, ...]:
    """Return the probability of 1, 2, ... 20 requests: geometric, none longer, with this mean; 1 to 20."""
    lengths = range(1, MOST_REQUESTS + 1)
    low, high = 1e-9, 1e9
    for _ in range(_BISECTIONS):
        ratio = math.sqrt(low * high)
        weights = [math.exp((each - MOST_REQUESTS * (ratio > 1)) * math.log(ratio)) for each in lengths]
        if sum(each * weight for each, weight in zip(lengths, weights, strict=True)) < mean * sum(weights):
            low = ratio
        else:
            high = ratio
    return tuple(weight / sum(weights) for weight in weights)


class SessionSource:
    """Draws the sessions of experiments side by side."""

    def __init__(self, experiment: Experiment, rng: np.random.Generator) -> None:
        self._experiment = experiment
        self._rng = rng
        self._rates = experiment.success_by_minute()
        traffic, arms = experiment.traffic, experiment.arms
        self._lengths = np.cumsum(lengths_of_sessions(traffic.requests_per_session))
        self._complexities = np.cumsum(traffic.complexities) / sum(traffic.complexities)
        self._delays = np.array([[arm.failure_delay, arm.success_delay] for arm in arms])
        self._lost = np.array([[arm.failure_lost, arm.success_lost] for arm in arms])
        self._alike = math.sqrt(traffic.likeness)

    def draw(self, begin: float, end: float, runs: Integers, splits: Splits, spells: Integers) -> Batch:
        """Draw the sessions of `runs` that begin between two times. Those that are not compared have a share of 0."""
        rng, traffic = self._rng, self._experiment.traffic
        per_second = traffic.sessions_per_minute / _MINUTE
        run = np.repeat(runs, math.floor(end * per_second) - math.floor(begin * per_second))
        arm, share = splits.assign(run, rng.random(len(run)))
        requests = np.searchsorted(self._lengths, rng.random(len(run)) * self._lengths[-1], side="right") + 1
        requests = np.minimum(requests, MOST_REQUESTS)
        owner, first = np.repeat(np.arange(len(run)), requests), np.cumsum(requests) - requests
        gaps = rng.exponential(traffic.request_gap, len(owner))
        gaps[first] = 0.0
        passed = np.cumsum(gaps)
        at = rng.uniform(begin, end, len(run))[owner] + passed - passed[first][owner]
        complexity = np.zeros(len(owner), dtype=np.int64)
        if self._experiment.strata > 1:
            complexity = np.searchsorted(self._complexities, rng.random(len(owner)), side="right")
            complexity = np.minimum(complexity, self._experiment.strata - 1)
        succeeds = self._succeed(arm[owner], at, complexity, owner, len(run))
        latency, cost = self._latency(arm[owner], complexity), self._cost(arm[owner], complexity)
        arrives = self._arrivals(arm[owner], at, succeeds, latency)
        fold_at = self._fold_at(at, np.isfinite(arrives), requests, first)
        cap = self._experiment.latency_cap_ms
        return Batch(
            *(run, arm, share, spells[run], fold_at, owner, at, complexity, arrives),
            succeeds & np.isfinite(arrives),
            np.minimum(latency / cap, 1.0),
            np.minimum(cost / self._experiment.cost_cap_usd, 1.0),
        )

    def rates(self, at: Floats, arm: Integers | int, complexity: Integers) -> Floats:
        """Return the rates of success of arms at these times."""
        minute = np.minimum((at / _MINUTE).astype(np.int64), len(self._rates) - 1)
        found: Floats = self._rates[minute, arm, complexity]
        return found

    def _succeed(self, arm: Integers, at: Floats, complexity: Integers, owner: Integers, sessions: int) -> Booleans:
        """Draw which requests succeed.

        Each compares a level with its rate. With a probability of the root of `likeness` the level is that of its session:
        so any two of a session have this correlation, also where the rate changes between them.
        """
        level = self._rng.random(len(owner))
        if self._alike:
            of_session = self._rng.random(sessions)
            level = np.where(self._rng.random(len(owner)) < self._alike, of_session[owner], level)
        found: Booleans = level < self.rates(at, arm, complexity)
        return found

    def _arrivals(self, arm: Integers, at: Floats, succeeds: Booleans, latency_ms: Floats) -> Floats:
        """Return when outcomes are reported; infinite: never, or too late to count."""
        result = succeeds.astype(np.int64)
        after = self._rng.exponential(1.0, len(at)) * self._delays[arm, result] + latency_ms / 1000
        reported = (self._rng.random(len(at)) >= self._lost[arm, result]) & (after <= self._experiment.folding.wait)
        found: Floats = np.where(reported, at + after, np.inf)
        return found

    def _latency(self, arm: Integers, complexity: Integers) -> Floats:
        if self._experiment.arms[CONTROL].latency_ms is None:
            return np.zeros(len(arm))
        medians = np.array([each.latency_ms for each in self._experiment.arms])
        return self._lognormal(medians[arm, complexity], self._experiment.traffic.latency_spread)

    def _cost(self, arm: Integers, complexity: Integers) -> Floats:
        if self._experiment.arms[CONTROL].cost_usd is None:
            return np.zeros(len(arm))
        medians = np.array([each.cost_usd for each in self._experiment.arms])
        return self._lognormal(medians[arm, complexity], self._experiment.traffic.cost_spread)

    def _lognormal(self, medians: Floats, spread: float) -> Floats:
        found: Floats = medians * np.exp(spread * self._rng.standard_normal(len(medians)))
        return found

    def _fold_at(self, at: Floats, known: Booleans, requests: Integers, first: Integers) -> Floats:
        """Return when sessions are folded.

        That is after their 20th outcome, or `idle` after the last request; and when each request is `wait` old and its
        minute judged.
        """
        folding = self._experiment.folding
        last = at[first + requests - 1]
        complete = (requests == MOST_REQUESTS) & (np.add.reduceat(known.astype(np.int64), first) == MOST_REQUESTS)
        judged = (np.floor(last / _MINUTE) + 1) * _MINUTE + folding.wait
        found: Floats = np.maximum(judged, np.where(complete, 0.0, last + folding.idle))
        return found
