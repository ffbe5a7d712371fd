"""The evidence of a canary: what its rule decides on, of R canaries side by side."""

import math
from typing import Final

from centralcloud.contracts.canary import CanaryPlan, Facts
from centralcloud.experiments.beginnings import Beginnings
from centralcloud.experiments.e_process import BETS, EProcess, Metric, Sessions, log_mean_exp, running
from centralcloud.runtime.arrays import Booleans, Floats, np

#: Success as 0 or 1, success as a reward, and what is divided by its cap: time and cost.
SUCCESS: Final = Metric()
GRADED: Final = Metric(binary=False)
CAPPED: Final = Metric(binary=False, ratio=True)
#: No window may multiply the evidence for the margin by more than this: in a brownout of control treatment looks better.
_MOST_OF_A_WINDOW: Final = 2.0


class CanaryEvidence:
    """The evidence of R canaries side by side, each of success and of some capped metrics.

    - `promotion` leaves out what is bad in either arm. Its evidence for the margin grows by a factor of at most 2 a window.
    - `rollback` leaves out only what is bad in control: a flaky treatment must not profit. It begins anew at each step, so
      that a model that turns bad has no credit from before.
    - `prompt` has the first outcome of each session, as soon as it has come.
    """

    def __init__(self, plan: CanaryPlan, success: Metric = SUCCESS, capped: int = 0, *, runs: int = 1, strata: int = 3):
        """Create it for success and for `capped` other metrics, such as time and cost.

        In all arrays of sessions the comparisons are those of success, one of each canary, then those of the next metric.
        """
        self._plan = plan
        self._runs = runs
        self._capped = capped
        metrics = [success] * runs + [CAPPED] * (runs * capped)
        losses = [-plan.loss_allowed_at(step) for step in range(1, len(plan.steps))]
        nulls = sorted({*losses, -plan.margin, 0.0, plan.ratio_limit})
        self._place = {null: nulls.index(null) for null in nulls}
        self._losses = losses
        self.promotion = EProcess(metrics, strata=strata, nulls=nulls)
        self.rollback = EProcess(metrics, strata=strata, nulls=(0.0, plan.ratio_limit))
        self.prompt = EProcess([success] * runs, strata=strata, nulls=(0.0,))
        self.treated: Floats = np.zeros(runs)
        self._margin: Floats = np.zeros((runs, len(BETS)))
        self._window: Floats = np.zeros((runs, len(BETS)))
        self._beginnings = Beginnings(len(plan.shares), runs)
        self._ratio_start: Floats = np.zeros_like(self.rollback.above)
        self._prompt_start: Floats = np.zeros((runs, len(BETS)))

    def fold(self, sessions: Sessions, first: Sessions, *, bad_control: Booleans, bad_treatment: Booleans) -> None:
        """Fold sessions in their order.

        Args:
            sessions: (T, R * (1 + `capped`)) of them.
            first: (T, R) the first outcome of each, for `prompt`.
            bad_control: (T, R * (1 + `capped`)) whether control was out of order then.
            bad_treatment: whether treatment was.
        """
        promotion, rollback = _without(sessions, bad_control | bad_treatment), _without(sessions, bad_control)
        self.fold_parts(sessions, promotion=promotion, rollback=rollback)
        self.prompt.fold(first)

    def fold_parts(self, sessions: Sessions, *, promotion: Sessions, rollback: Sessions) -> None:
        """Fold sessions in their order, but for the prompt guard. A part of the outcomes of a session may be left out.

        Args:
            sessions: with all outcomes, as for `fold`.
            promotion: without those from times in which an arm was out of order.
            rollback: without those from times in which control was.
        """
        self.rollback.fold(rollback)
        self.promotion.fold(promotion)
        of_success = sessions.counts[:, : self._runs].sum(axis=-1) * sessions.treated[:, : self._runs]
        self.treated = running(self.treated, of_success)[-1]

    def parts(self) -> list[Floats]:
        """Return all that it has learned: arrays that may be filled with that of another one of the same plan."""
        processes = (self.promotion, self.rollback, self.prompt)
        own = [self.treated, self._margin, self._window, self._beginnings.starts, self._ratio_start, self._prompt_start]
        return [*(part for process in processes for part in process.parts()), *own]

    def close_window(self) -> None:
        """End a window of time: what it has added to the evidence for the margin is capped."""
        self._margin, self._window = self._capped_margin(), self._uncapped_margin().copy()

    def begin_step(self, run: int, step: int) -> None:
        """Begin a step of a canary: its evidence for a roll back begins anew, beside that of the steps before."""
        self._beginnings.begin_step(run, step, self._wealth_of_worse())

    def begin_again(self, run: int) -> None:
        """Begin a canary again at its first step: no evidence for a roll back is left."""
        self._beginnings.begin_again(run, self._wealth_of_worse())
        self._prompt_start[run] = self.prompt.below[run, 0]
        rows = self._rows_of_capped(run)
        self._ratio_start[rows] = self.rollback.above[rows]

    def facts(self) -> list[Facts]:
        """Return the facts of each canary as of now."""
        runs, place = self._runs, self._place
        above, below = self.promotion.log_above(), self.promotion.log_below()
        worse = self._beginnings.log_mean(self._wealth_of_worse())
        prompt = log_mean_exp(self.prompt.below[:, 0] - self._prompt_start)
        beyond = log_mean_exp(self.rollback.above - self._ratio_start)[:, 1]
        margin = log_mean_exp(self._capped_margin())
        found = []
        for run in range(runs):
            rows = self._rows_of_capped(run)
            limits = [float(below[row, place[self._plan.ratio_limit]]) for row in rows]
            found.append(
                Facts(
                    outcomes=float(self.rollback.totals[run, 2]),
                    treated=float(self.treated[run]),
                    worse=float(worse[run]),
                    worse_promptly=float(prompt[run]),
                    slower=float(beyond[rows[0]]) if rows else 0.0,
                    dearer=float(beyond[rows[1]]) if len(rows) > 1 else 0.0,
                    loss_excluded=(0.0, *(float(above[run, place[loss]]) for loss in self._losses)),
                    within_margin=float(margin[run]),
                    within_time=limits[0] if limits else None,
                    within_cost=limits[1] if len(limits) > 1 else None,
                    wins=(float(above[run, place[0.0]]), *(float(below[row, place[0.0]]) for row in rows)),
                )
            )
        return found

    def _rows_of_capped(self, run: int) -> list[int]:
        """Return the places of the other metrics of a canary, in their order."""
        return [metric * self._runs + run for metric in range(1, 1 + self._capped)]

    def _uncapped_margin(self) -> Floats:
        """Return (R, 8) the logs of the wealth of each bet against the margin."""
        found: Floats = self.promotion.above[: self._runs, self._place[-self._plan.margin]]
        return found

    def _capped_margin(self) -> Floats:
        """Return the same, with what each window has added to it at most."""
        added = self._uncapped_margin() - self._window
        found: Floats = self._margin + np.minimum(added, math.log(_MOST_OF_A_WINDOW))
        return found

    def _wealth_of_worse(self) -> Floats:
        """Return (R, 8) the logs of the wealth of each bet that success is lower."""
        found: Floats = self.rollback.below[: self._runs, 0]
        return found


def _without(sessions: Sessions, bad: Booleans) -> Sessions:
    kept = ~bad
    return sessions._replace(
        counts=sessions.counts * kept[..., None],
        sums=sessions.sums * kept[..., None],
        squares=sessions.squares * kept,
    )
