"""Canaries side by side: the evidence and the stage of each, from what their sessions have said."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from centralcloud.contracts.canary import CanaryPlan, Facts, Stage, advance, start
from centralcloud.experiments.bad_minutes import ArmMinute, BadMinutes, judge
from centralcloud.experiments.canary_evidence import CanaryEvidence
from centralcloud.experiments.e_process import Sessions
from centralcloud.runtime.arrays import Booleans, Floats, np

#: The evidence for the margin grows by a factor of at most 2 in this time.
WINDOW_SECONDS: Final = 600.0


class Advance(NamedTuple):
    """How a canary went on at a look, and the facts by which it did."""

    before: Stage
    after: Stage
    facts: Facts

    @property
    def stopped(self) -> bool:
        """Whether treatment has just lost its traffic: by a pause or a roll back."""
        return self.before.status == "ramping" and self.after.status in ("paused", "rolled_back")

    @property
    def stepped(self) -> bool:
        """Whether the next share has just begun."""
        return self.after.step > self.before.step

    @property
    def began_again(self) -> bool:
        """Whether it has just begun again at its first step."""
        return self.after.retries > self.before.retries

    @property
    def ended(self) -> bool:
        """Whether the verdict has just been reached."""
        return self.after.has_ended and not self.before.has_ended


class CanaryRuns:
    """R canaries of one plan, each with its stage, its evidence, and the usual state of its control.

    Attributes:
        stages: of each.
        bad_minutes: (R,) how many were left out, in either arm.
    """

    def __init__(self, plan: CanaryPlan, runs: int, *, capped: int = 0, strata: int = 1) -> None:
        """Start them at the time 0. For `capped` and `strata` see `CanaryEvidence`."""
        self.plan = plan
        self.stages = [start(0.0) for _ in range(runs)]
        self.bad_minutes: Floats = np.zeros(runs)
        self._evidence = CanaryEvidence(plan, capped=capped, runs=runs, strata=strata)
        self._usual = [BadMinutes()] * runs
        self._window_ends = WINDOW_SECONDS

    @property
    def ramping(self) -> Booleans:
        """(R,) whether treatment gets traffic."""
        found: Booleans = np.array([stage.status == "ramping" for stage in self.stages])
        return found

    @property
    def open(self) -> Booleans:
        """(R,) whether there is no verdict yet."""
        found: Booleans = np.array([not stage.has_ended for stage in self.stages])
        return found

    def judge(self, minutes: Sequence[tuple[ArmMinute, ArmMinute]], which: Booleans) -> Booleans:
        """Judge a minute of control and treatment.

        Args:
            minutes: of each canary.
            which: (R,) canaries that are judged.

        Returns:
            (R, 2) whether control was out of order in it, and whether treatment was.
        """
        found: Booleans = np.zeros((len(self.stages), 2), dtype=bool)
        for run in np.flatnonzero(which).tolist():
            found[run], self._usual[run] = judge(self._usual[run], *minutes[run])
        self.bad_minutes = self.bad_minutes + found.any(axis=1)
        return found

    def fold(self, sessions: Sessions, first: Sessions, *, bad_control: Booleans, bad_treatment: Booleans) -> None:
        """Fold sessions, as `CanaryEvidence.fold` does."""
        self._evidence.fold(sessions, first, bad_control=bad_control, bad_treatment=bad_treatment)

    def advance(self, now: float, *, held: Booleans | None = None) -> list[Advance]:
        """Look at each canary; a look at the end of a window ends it.

        Args:
            held: (R,) canaries that wait for sessions from before their step, or their pause, to be folded. One that is
                ramping can only be rolled back, and its dwell begins afterwards; one that is paused stays so.
        """
        found = []
        for run, facts in enumerate(self._evidence.facts()):
            step = self._next(run, facts, now, held=held is not None and bool(held[run]))
            self.stages[run] = step.after
            if step.began_again:
                self._evidence.begin_again(run)
            elif step.stepped:
                self._evidence.begin_step(run, step.after.step)
            found.append(step)
        if now >= self._window_ends:
            self._evidence.close_window()
            self._window_ends += WINDOW_SECONDS
        return found

    def _next(self, run: int, facts: Facts, now: float, *, held: bool) -> Advance:
        stage = self.stages[run]
        if not held or stage.has_ended:
            return Advance(stage, advance(self.plan, stage, facts, now), facts)
        if stage.status == "paused":
            return Advance(stage, stage, facts)
        stage = stage._replace(since=now)
        step = Advance(stage, advance(self.plan, stage, facts, now), facts)
        return step._replace(after=stage) if step.stepped or step.after.status == "promoted" else step
