"""Evidence for a roll back that begins anew at each step, so that a model that turns bad has no credit from before."""

from centralcloud.experiments.e_process import BETS, log_mean_exp
from centralcloud.runtime.arrays import Floats, np


class Beginnings:
    """The steps at which the evidence of R canaries has begun anew.

    Attributes:
        starts: (steps, R, 8) the logs of the wealth of each bet when a step began; infinite: it has not.
    """

    def __init__(self, steps: int, runs: int = 1) -> None:
        """Begin at the first step, without any evidence."""
        self.starts: Floats = np.full((steps, runs, len(BETS)), np.inf)
        self.starts[0] = 0.0

    def begin_step(self, run: int, step: int, wealth: Floats) -> None:
        """Begin a step of a canary, beside the steps before; `wealth`: (R, 8) as of now."""
        self.starts[step, run] = wealth[run]

    def begin_again(self, run: int, wealth: Floats) -> None:
        """Begin a canary again at its first step: no evidence is left."""
        self.starts[:, run] = np.inf
        self.begin_step(run, 0, wealth)

    def log_mean(self, wealth: Floats) -> Floats:
        """Return (R,) the log of the mean of the evidence since each step began; 1 for a step that has not."""
        since = np.where(np.isinf(self.starts), 0.0, wealth[None] - self.starts)
        return log_mean_exp(np.moveaxis(since, 0, 1).reshape(len(wealth), -1))
