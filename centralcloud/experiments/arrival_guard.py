"""The guard on feedback: whether less of it arrives in treatment, where a success is feedback.

A missing one counts as a failure; but an arm that asks its users less often, or loses their answers, is not the arm that was
to be compared.
"""

from centralcloud.experiments.beginnings import Beginnings
from centralcloud.experiments.e_process import EProcess, Metric, Sessions
from centralcloud.runtime.arrays import Floats


class ArrivalGuard:
    """The evidence that outcomes of treatment arrive less often: as that for a roll back, it begins anew at each step."""

    def __init__(self, steps: int, strata: int) -> None:
        """Create it without any evidence; `steps`: at each of which it begins anew."""
        self._process = EProcess([Metric()], strata=strata, nulls=(0.0,))
        self._beginnings = Beginnings(steps)

    def fold(self, sessions: Sessions) -> None:
        """Fold sessions in their order: an outcome is 1 if it has arrived, else 0."""
        self._process.fold(sessions)

    def begin_step(self, step: int) -> None:
        """Begin a step: its evidence begins anew, beside that of the steps before."""
        self._beginnings.begin_step(0, step, self._process.below[:, 0])

    def begin_again(self) -> None:
        """Begin again at the first step: no evidence is left."""
        self._beginnings.begin_again(0, self._process.below[:, 0])

    def log_fewer(self) -> float:
        """Return the log of the evidence: the mean over the steps; 1 for one that has not begun."""
        return float(self._beginnings.log_mean(self._process.below[:, 0])[0])

    def parts(self) -> list[Floats]:
        """Return all that it has learned: arrays that may be filled with that of another one of the same shape."""
        return [*self._process.parts(), self._beginnings.starts]
