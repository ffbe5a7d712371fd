"""A canary of a scenario, many times: drawn, ramped, judged, and ended as one of a fleet is.

- Sessions are folded when a fleet would fold them, so that a verdict waits for them. The first outcome of each is seen at
  once.
- A step has two phases: until no session from before it is open, sessions between the two shares stay with control and are
  not compared. The dwell begins afterwards.
- A pause takes treatment from its open sessions at once; their later requests are not folded. The canary begins again when
  the sessions from before the pause have been folded: their failures would stop it a second time.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from centralcloud.contracts.canary import CanaryPlan, Status
from centralcloud.experiments.bad_minutes import ArmMinute
from centralcloud.experiments.e_process import Sessions
from centralcloud.runtime.arrays import Booleans, Floats, Integers, np
from centralcloud.simulate.experiments.canary_runs import Advance, CanaryRuns
from centralcloud.simulate.experiments.open_sessions import Waiting, arrange, arrange_flags, first_outcomes
from centralcloud.simulate.experiments.scenario import CONTROL, Experiment
from centralcloud.simulate.experiments.sessions import Batch, SessionSource, Splits

_MINUTE: Final = 60.0
_TREATMENT: Final = 1


class CanaryResult(NamedTuple):
    """How a canary ended.

    Attributes:
        status: of its last stage; "ramping" or "paused" when it was open at the end of the simulation.
        reason: of its last stage.
        seconds: until its verdict, or until the end of the simulation.
        requests: of both arms until then.
        served: those that treatment has served.
        lost: how many more of these failed than with control, on average; negative: fewer.
        served_at_stop: those until its first pause or roll back; None: there was none.
        retries: how often it began again.
        bad_minutes: left out.
    """

    status: Status
    reason: str
    seconds: float
    requests: int
    served: int
    lost: float
    served_at_stop: int | None
    retries: int
    bad_minutes: int


def simulate_canaries(experiment: Experiment, seeds: Sequence[int]) -> list[CanaryResult]:
    """Simulate the canary of an experiment with one treatment, once for each seed, side by side."""
    return _Simulation(experiment, seeds).results()


class _Simulation:
    def __init__(self, experiment: Experiment, seeds: Sequence[int]) -> None:
        assert isinstance(experiment.plan, CanaryPlan)
        self._experiment, self._plan, self._runs = experiment, experiment.plan, len(seeds)
        self._metrics = experiment.metrics
        self._canaries = CanaryRuns(
            experiment.plan, self._runs, capped=len(self._metrics) - 1, strata=experiment.strata
        )
        self._source = SessionSource(experiment, np.random.default_rng(list(seeds)))
        self._waiting, self._prompt = Waiting(experiment.look), Waiting(experiment.look)
        self._minutes = _Minutes(experiment, self._runs)
        self._tally = _Tally(experiment, self._runs)
        #: The share before a step that has not begun everywhere; until when sessions from before are open.
        self._before = np.full(self._runs, self._plan.shares[0])
        self._held_until: Floats = np.zeros(self._runs)
        #: When the last session so far is folded.
        self._last_fold: Floats = np.zeros(self._runs)
        #: How often treatment lost its traffic, and when.
        self._spells: Integers = np.zeros(self._runs, dtype=np.int64)
        self._stopped: Floats = np.full((self._runs, self._plan.retries + 2), np.inf)

    def results(self) -> list[CanaryResult]:
        looks = math.floor(self._experiment.length / self._experiment.look)
        for look in range(looks):
            now = (look + 1) * self._experiment.look
            self._begin_sessions(now)
            self._minutes.judge(self._canaries, now)
            self._fold(now)
            for run, step in enumerate(self._canaries.advance(now, held=now < self._held_until)):
                self._follow(run, step, now)
            if not self._canaries.open.any():
                break
        return [self._result(run) for run in range(self._runs)]

    def _begin_sessions(self, now: float) -> None:
        stages = self._canaries.stages
        share = np.array([self._plan.shares[each.step] if each.status == "ramping" else 0.0 for each in stages])
        waits = now - self._experiment.look < self._held_until
        splits = Splits(1, share, np.where(waits, np.minimum(self._before, share), share))
        active = np.flatnonzero(self._canaries.open)
        batch = self._source.draw(now - self._experiment.look, now, active, splits, self._spells)
        np.maximum.at(self._last_fold, batch.run, batch.fold_at)
        self._tally.add(batch, self._source)
        compared = batch.chosen(batch.share > 0)
        self._minutes.add(compared)
        self._waiting.add(compared, compared.fold_at)
        self._prompt.add(*first_outcomes(compared))

    def _fold(self, now: float) -> None:
        open_ = self._canaries.open
        batch, first = self._waiting.take(now), self._prompt.take(now)
        batch, first = batch.chosen(open_[batch.run]), first.chosen(open_[first.run])
        size, counted = {"runs": self._runs, "strata": self._experiment.strata}, self._counted(batch)
        parts = [arrange(batch, counted, metric, **size) for metric in self._metrics]
        bad = self._minutes.bad_in(batch)
        bad_control, bad_treatment = (
            np.tile(arrange_flags(batch, bad[:, arm], runs=self._runs), len(self._metrics))
            for arm in (CONTROL, _TREATMENT)
        )
        self._canaries.fold(
            Sessions(*(np.concatenate(each, axis=1) for each in zip(*parts, strict=True))),
            arrange(first, self._counted(first), "success", **size),
            bad_control=bad_control,
            bad_treatment=bad_treatment,
        )

    def _counted(self, batch: Batch) -> Booleans:
        """Return which requests are folded: not those after treatment lost its traffic."""
        until = np.where(batch.arm == CONTROL, np.inf, self._stopped[batch.run, batch.spell])
        found: Booleans = batch.at < until[batch.owner]
        return found

    def _follow(self, run: int, step: Advance, now: float) -> None:
        if step.stepped:
            self._before[run] = self._plan.shares[step.before.step]
            self._held_until[run] = self._last_fold[run]
        if step.stopped:
            self._held_until[run] = self._last_fold[run]
            self._stopped[run, self._spells[run]] = now
            self._spells[run] += 1
            self._minutes.stop(run, now)
            self._tally.stop(run, now)
        if step.ended:
            self._tally.end(run, now)

    def _result(self, run: int) -> CanaryResult:
        stage = self._canaries.stages[run]
        bad_minutes = int(self._canaries.bad_minutes[run])
        return CanaryResult(stage.status, stage.reason, *self._tally.of(run), stage.retries, bad_minutes)


class _Minutes:
    """The minutes of both arms: how many sessions had a request in each, and how many of them mostly failed in it."""

    def __init__(self, experiment: Experiment, runs: int) -> None:
        self._wait = experiment.folding.wait
        self._count = math.ceil(experiment.length / _MINUTE)
        #: By minute, run, arm: the sessions, and those that failed.
        self._seen: Integers = np.zeros((self._count + 1, runs, 2, 2), dtype=np.int64)
        self._bad: Booleans = np.zeros((self._count + 1, runs, 2), dtype=bool)
        self._judged = 0

    def add(self, batch: Batch) -> None:
        """Count requests, with what will be known of them when their minute is judged."""
        if not len(batch.owner):
            return
        minute = self._minute(batch.at)
        begins = np.flatnonzero((np.diff(batch.owner, prepend=-1) > 0) | (np.diff(minute, prepend=-1) != 0))
        succeeded = np.add.reduceat(batch.success.astype(np.int64), begins)
        failed = 2 * succeeded < np.diff(begins, append=len(minute))
        owner = batch.owner[begins]
        place = minute[begins], batch.run[owner], batch.arm[owner]
        np.add.at(self._seen[..., 0], place, 1)
        np.add.at(self._seen[..., 1], place, failed)

    def stop(self, run: int, now: float) -> None:
        """Forget the requests that treatment will not serve."""
        self._seen[math.ceil(now / _MINUTE) :, run, _TREATMENT] = 0

    def judge(self, canaries: CanaryRuns, now: float) -> None:
        """Judge the minutes all of whose outcomes are known."""
        while self._judged < self._count and (self._judged + 1) * _MINUTE + self._wait <= now:
            seen = self._seen[self._judged].tolist()
            minutes = [(ArmMinute(*control), ArmMinute(*treatment)) for control, treatment in seen]
            self._bad[self._judged] = canaries.judge(minutes, canaries.open)
            self._judged += 1

    def bad_in(self, batch: Batch) -> Booleans:
        """Return (S, 2) whether control, and treatment, was out of order in a minute in which a session had a request."""
        bad = self._bad[self._minute(batch.at), batch.run[batch.owner]]
        found = [np.bincount(batch.owner, bad[:, arm], len(batch.run)) > 0 for arm in (CONTROL, _TREATMENT)]
        flags: Booleans = np.stack(found, axis=1)
        return flags

    def _minute(self, at: Floats) -> Integers:
        minute: Integers = np.minimum((at / _MINUTE).astype(np.int64), self._count)
        return minute


class _Tally:
    """The requests by look: of both arms, of treatment, and how many more of these fail than with control."""

    def __init__(self, experiment: Experiment, runs: int) -> None:
        self._look = experiment.look
        self._looks = math.floor(experiment.length / experiment.look)
        self._by_look: Floats = np.zeros((self._looks + 1, runs, 3))
        self._ended: Floats = np.full(runs, self._looks * experiment.look)
        self._at_stop: dict[int, int] = {}

    def add(self, batch: Batch, source: SessionSource) -> None:
        """Count requests."""
        look = np.minimum((batch.at / self._look).astype(np.int64), self._looks)
        place = look, batch.run[batch.owner]
        arm = batch.arm[batch.owner]
        lost = source.rates(batch.at, CONTROL, batch.complexity) - source.rates(batch.at, arm, batch.complexity)
        for number, value in enumerate((1.0, arm != CONTROL, lost)):
            np.add.at(self._by_look[..., number], place, value)

    def stop(self, run: int, now: float) -> None:
        """Forget what treatment will not serve from now on."""
        self._by_look[round(now / self._look) :, run, 1:] = 0.0
        self._at_stop.setdefault(run, int(self._by_look[: round(now / self._look), run, 1].sum()))

    def end(self, run: int, now: float) -> None:
        """End counting."""
        self._ended[run] = now

    def of(self, run: int) -> tuple[float, int, int, float, int | None]:
        """Return the seconds, the requests, those of treatment, how many more failed, and those of treatment at a stop."""
        seconds = float(self._ended[run])
        requests, served, lost = self._by_look[: round(seconds / self._look), run].sum(axis=0).tolist()
        return seconds, int(requests), int(served), float(lost), self._at_stop.get(run)
