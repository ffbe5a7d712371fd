"""How well a success rate is known: by the rule's own interval, or from the outcomes. Pure."""

from typing import Final, NamedTuple

from centralcloud.learning.rule import wilson_interval

#: An estimate of fewer outcomes is drawn hollow.
FEW_OUTCOMES: Final = 150
#: The quantile of a 90% interval, the one that the rule adaptive publishes.
_NINETY_PERCENT: Final = 1.645
BEST_SCORE: Final = 5.0


class Estimate(NamedTuple):
    """A success rate and its 90% interval, 0 to 1; None where nothing is known."""

    rate: float | None
    low: float | None
    high: float | None


def estimate(
    mean: float | None, low: float | None, high: float | None, success_rate: float | None, samples: int
) -> Estimate:
    """Return the rule's estimate; for a rule without one the success rate of its outcomes, with their Wilson interval."""
    if mean is not None and low is not None and high is not None:
        return Estimate(mean, low, high)
    if success_rate is None or samples <= 0:
        return Estimate(mean if mean is not None else success_rate, None, None)
    return Estimate(success_rate, *wilson_interval(success_rate * samples, samples, _NINETY_PERCENT))
