"""The sample ratio test: whether sessions are drawn into treatment with the probability that is recorded.

Where they are not (a cache in front of one arm, events that one arm loses), no comparison can be trusted.
"""

import math
from typing import Final

from centralcloud.experiments.e_process import BETS, MOST_RISKED, log_mean_exp, running
from centralcloud.runtime.arrays import Booleans, Floats, np

#: The probability with which the test ever alarms though nothing is wrong.
ALPHA: Final = 0.001
_STRETCH: Final = 4.0


class SampleRatio:
    """An e-process on the arms of sessions: bets that more, and that fewer, are treated than recorded.

    Attributes:
        wealth: (R, 16) log of the wealth of each bet.
    """

    def __init__(self, runs: int = 1) -> None:
        self.wealth: Floats = np.zeros((runs, 2 * len(BETS)))
        self._bets: Floats = _STRETCH * np.array([*BETS, *(-each for each in BETS)])[None, :]

    def fold(self, treated: Booleans, share: Floats) -> None:
        """Bet on the arms of sessions. Shapes and ranges as in `Sessions`."""
        p = share[..., None]
        bets = np.clip(self._bets, -MOST_RISKED / (1 - p), MOST_RISKED / p)
        self.wealth = running(self.wealth, np.log1p(bets * (treated[..., None] - p)))[-1]

    def alarms(self) -> Booleans:
        """Return (R,) whether the arms are now not as recorded."""
        found: Booleans = log_mean_exp(self.wealth) >= math.log(1 / ALPHA)
        return found
