"""The estimate behind a score: how probable a success of the model is, and how certain that is."""

from typing import Final

import msgspec


class Estimate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The success probability of one (model, complexity), as a rule estimates it. Each part may be missing.

    Attributes:
        mean, n_eff: the success probability is Beta(mean * n_eff, (1 - mean) * n_eff); `mean` is 0 to 1, `n_eff` (how many
            outcomes the estimate is worth) is above 0.
        probe_share: share of the tasks of this complexity, 0 to 1, that should go to the model to keep its score up to date.
        interval: low and high end of the 5% to 95% interval of the success probability, each 0 to 1.
    """

    mean: float | None = None
    n_eff: float | None = None
    probe_share: float | None = None
    interval: tuple[float, float] | None = None


#: For a score without an estimate: a manual one, or one of a rule that estimates no probability.
NO_ESTIMATE: Final = Estimate()
