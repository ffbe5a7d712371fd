"""The success before and after a moment, adjusted for the mix of complexities and task types. Pure.

Direct standardisation: the rates of each stratum, a complexity and a task type, are weighed with the share that the stratum
has of both times together. So a time with more easy tasks does not look better for that. Strata that only one of the times
has are left out.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

_Z: Final = 1.96
#: With less of the outcomes in strata that both times have, an adjusted difference would be one of few tasks.
LEAST_SHARED: Final = 0.5
#: Outcomes of each of the two times, at least.
LEAST_OUTCOMES: Final = 100
#: The limits of an adjusted difference.
CAVEATS: Final = (
    "this is not an experiment: all that changed at that time counts, not only the switch (models, prompts, users, hours)",
    "the adjustment knows complexity and task type alone; harder tasks of the same type look like worse choices",
    "the interval takes outcomes as independent: with long sessions it is too narrow",
    "outcomes that have not arrived yet are missing from the time after, and failures tend to arrive later",
)


class Stratum(NamedTuple):
    """The outcomes of a complexity and a task type in one of the times; `squares`: sum of the squares of outcomes."""

    complexity: str
    task_type: str
    outcomes: int
    total: float
    squares: float
    first_at: datetime
    last_at: datetime


class BeforeAfter(NamedTuple):
    """Two times in comparison.

    Attributes:
        at: the moment between them.
        switch: what happened then, in words.
        since, until: of both.
        outcomes: before and after.
        rates: mean outcomes as they were, before and after; None: no outcome.
        adjusted: for the mix; None: unknown.
        difference, low, high: after less before, adjusted, with its interval of 95%.
        shared: share of the outcomes, of both times, in strata that both have.
        unknown: why there is no adjusted difference.
        notes: what the numbers do not say.
    """

    at: datetime
    switch: str
    since: datetime
    until: datetime
    outcomes: tuple[int, int]
    rates: tuple[float | None, float | None]
    adjusted: tuple[float, float] | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    shared: float = 0.0
    unknown: str | None = None
    notes: tuple[str, ...] = CAVEATS


class Adjusted(NamedTuple):
    """Rates under the same mix, the squared standard error of their difference, and the share that is in both times."""

    before: float
    after: float
    squared_error: float
    shared: float


def adjust(before: Iterable[Stratum], after: Iterable[Stratum]) -> Adjusted | None:
    """Return the rates of two times under the mix of both; None without a stratum that both have."""
    first, second = _by_stratum(before), _by_stratum(after)
    everything = sum(each.outcomes for each in (*first.values(), *second.values()))
    both = sorted(first.keys() & second.keys())
    counted = sum(first[key].outcomes + second[key].outcomes for key in both)
    if not counted:
        return None
    rates, squared_error = [0.0, 0.0], 0.0
    for key in both:
        weight = (first[key].outcomes + second[key].outcomes) / counted
        for side, stratum in enumerate((first[key], second[key])):
            rates[side] += weight * stratum.total / stratum.outcomes
            squared_error += weight**2 * _variance(stratum) / stratum.outcomes
    return Adjusted(rates[0], rates[1], squared_error, counted / everything)


def compare(result: BeforeAfter, before: Iterable[Stratum], after: Iterable[Stratum]) -> BeforeAfter:
    """Return the comparison with its numbers, or why there are none."""
    strata = tuple(before), tuple(after)
    outcomes = [sum(each.outcomes for each in side) for side in strata]
    rates = [
        sum(each.total for each in side) / count if count else None
        for side, count in zip(strata, outcomes, strict=True)
    ]
    result = result._replace(outcomes=(outcomes[0], outcomes[1]), rates=(rates[0], rates[1]))
    for name, count in zip(("before", "after"), outcomes, strict=True):
        if count < LEAST_OUTCOMES:
            return result._replace(unknown=f"{count} outcomes {name} the switch, expected {LEAST_OUTCOMES}")
    found = adjust(*strata)
    if found is None or found.shared < LEAST_SHARED:
        return result._replace(
            shared=found.shared if found else 0.0,
            unknown="fewer than half of the outcomes are of complexities and task types that both times have",
        )
    difference, error = found.after - found.before, math.sqrt(found.squared_error)
    return result._replace(
        adjusted=(found.before, found.after),
        difference=difference,
        low=difference - _Z * error,
        high=difference + _Z * error,
        shared=found.shared,
    )


def _by_stratum(rows: Iterable[Stratum]) -> Mapping[tuple[str, str], Stratum]:
    return {(each.complexity, each.task_type): each for each in rows if each.outcomes}


def _variance(stratum: Stratum) -> float:
    """Return the variance of an outcome, with one success and one failure more: that of a few equal ones is not 0."""
    count = stratum.outcomes + 2
    mean = (stratum.total + 1) / count
    return max(0.0, (stratum.squares + 1) / count - mean**2)
