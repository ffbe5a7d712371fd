"""Many experiments at once: which of them differ, when one in so many of those that are named may be wrong. Pure."""

import math
from collections.abc import Hashable, Mapping
from typing import TypeVar

_Key = TypeVar("_Key", bound=Hashable)


def discoveries(log_values: Mapping[_Key, float], rate: float) -> frozenset[_Key]:
    """Return the comparisons that differ, by the rule e-BH: at most `rate` of them are expected to be wrong.

    With the values in falling order it takes the largest k for which value k is at least M / (rate * k), of M comparisons.
    It holds however the comparisons depend on each other.

    Args:
        log_values: the log of each comparison's e-value as of now, not the largest so far.
        rate: above 0 and below 1.
    """
    ordered = sorted(log_values, key=lambda each: log_values[each], reverse=True)
    found = 0
    for number, key in enumerate(ordered, start=1):
        if log_values[key] >= math.log(len(ordered) / (rate * number)):
            found = number
    return frozenset(ordered[:found])


def two_sided(log_above: float, log_below: float) -> float:
    """Return the log of the e-value that there is any difference: the mean of those of its two sides."""
    largest = max(log_above, log_below)
    if math.isinf(largest):
        return largest
    return largest + math.log((math.exp(log_above - largest) + math.exp(log_below - largest)) / 2)
