"""The results of experiments in sentences. Pure.

An interval is of the difference of treatment and control: of success in shares, of time and cost as a ratio less 1, so that
-0.1 is 10% less. An end at -1 or 1 is not known yet.
"""

import math
from datetime import datetime
from typing import Final, NamedTuple

from centralcloud.runtime.wording import age, counted, decimals

#: The end of an interval about which nothing is known yet, as of `centralcloud.experiments.interval`.
_UNKNOWN: Final = 1.0
#: Odds beyond this have no meaning for a reader.
_MOST_ODDS: Final = 1e6
#: Power 80% at 5% on two sides needs this many outcomes of each arm for each unit of variance / difference squared; and the
#: price of a test that may be looked at always, as it was simulated.
_FIXED: Final = 2 * 6.2
_PRICE: Final = 1.6
_CHANGED: Final = "the effect changed over time: no difference fits all of the time"
_ALWAYS: Final = "this holds however often you look"


class Interval(NamedTuple):
    """The differences that the evidence leaves possible; it misses the true one with a probability of at most `alpha`."""

    low: float
    high: float
    alpha: float = 0.05

    @property
    def is_known(self) -> bool:
        """Whether the evidence excludes anything."""
        return self.low > -_UNKNOWN or self.high < _UNKNOWN

    @property
    def is_empty(self) -> bool:
        """Whether no difference fits all of the time."""
        return self.low > self.high


class Amount(NamedTuple):
    """How much an interval is based on."""

    outcomes: int
    sessions: int

    @property
    def words(self) -> str:
        """The amount in words."""
        return f"{counted(self.outcomes, 'outcome')} in {counted(self.sessions, 'session')}"


def about_success(
    treatment: str, control: str, interval: Interval, amount: Amount, *, of: str = "success", hint: str | None = None
) -> str:
    """Return a sentence on the difference of success, in points.

    Args:
        of: what the shares are of, more of which is better.
        hint: added to one that is not decided, as of `about_duration`.
    """
    if interval.is_empty:
        return _CHANGED
    if not interval.is_known:
        return f"not known yet ({amount.words})"
    low, high = (_points(each) for each in interval[:2])
    if interval.low > 0:
        return _decided(f"{treatment} is better than {control} by {_range(low, high)} points of {of}", interval, amount)
    if interval.high < 0:
        return _decided(f"{treatment} is worse than {control} by {_range(high, low)} points of {of}", interval, amount)
    return "; ".join(each for each in (_between(interval, " points", "worse", "better"), "not decided", hint) if each)


def about_ratio(
    treatment: str, control: str, interval: Interval, amount: Amount, *, less: str, more: str, cap: str
) -> str:
    """Return a sentence on time or cost.

    Args:
        less, more: such as "faster" and "slower".
        cap: up to which each request counts, such as "10 s".
    """
    if interval.is_empty:
        return _CHANGED
    if not interval.is_known:
        return f"not known yet ({amount.words})"
    low, high = (_points(each) for each in interval[:2])
    capped = f", each request capped at {cap}"
    if interval.high < 0:
        return _decided(f"{treatment} is {less} than {control} by {_range(high, low)}%{capped}", interval, amount)
    if interval.low > 0:
        return _decided(f"{treatment} is {more} than {control} by {_range(low, high)}%{capped}", interval, amount)
    return f"{_between(interval, '%', less, more)}{capped}; not decided"


def about_duration(difference: float, success: float, share: float, folded: float, per_second: float) -> str | None:
    """Return when a difference of success most likely shows, for the sentence of one that is not decided.

    Args:
        difference: above 0 and below 1.
        success: of control, 0 to 1.
        share: of treatment among the two arms, above 0 and below 1.
        folded: outcomes so far.
        per_second: outcomes a second; 0: none come.
    """
    points = decimals(100 * difference, 1).removesuffix(".0")
    what = f"a difference of {counted_points(points)}"
    if per_second <= 0:
        return None
    needed = outcomes_needed(difference, success, share)
    if folded >= needed:
        return f"{what} would most likely have shown by now"
    return f"at this traffic {what} shows in about {age((needed - folded) / per_second)}"


def outcomes_needed(difference: float, success: float, share: float = 0.5) -> float:
    """Return how many outcomes of both arms show a difference of success with a probability of 80%.

    Args:
        difference: above 0 and below 1.
        success: 0 to 1; near its ends as 0.02 and 0.98.
        share: of treatment among the two arms, above 0 and below 1: at 1% it takes 25 times as many as at a half.
    """
    rate = min(max(success, 0.02), 0.98)
    unequal = 0.25 / (share * (1 - share))
    return _FIXED * 4 * rate * (1 - rate) * _PRICE / difference**2 * unequal


def about_rollback(
    at: datetime, treatment: str, control: str, reason: str, alpha: float, served: int, failed: int, expected: float
) -> str:
    """Return a sentence on an experiment that was rolled back.

    Args:
        at: in the zone of the reader.
        reason: such as "fewer successes".
        alpha: the probability that chance looks like this, of all guards together.
        served: requests of treatment; `failed`: of them, those without success.
        expected: the share of control's requests that failed, 0 to 1.
    """
    for_it = max(0, round(failed - served * expected))
    one_of = max(2, math.floor(1 / alpha)) if alpha > 0 else 0
    return (
        f"rolled back at {at:%H:%M}: {treatment} against {control}: {reason}; chance would look like this in less than 1 of "
        f"{one_of:,} canaries; {counted(served, 'request')} {'was' if served == 1 else 'were'} served by it, about "
        f"{for_it:,} failed for it"
    )


def odds(log_value: float) -> str:
    """Return an e-value as odds against chance: "1:310 against chance"."""
    if log_value <= 0:
        return "1:1, no evidence"
    if log_value >= math.log(_MOST_ODDS):
        return f"more than 1:{_MOST_ODDS:,.0f} against chance"
    value = math.exp(log_value)
    return f"1:{value:,.0f} against chance" if value >= 10 else f"1:{value:,.1f} against chance"


def counted_points(points: str) -> str:
    """Return a number of percentage points: "1 point", "2 points"."""
    return f"{points} point{'' if points == '1' else 's'}"


def leader(intervals: dict[str, Interval]) -> str | None:
    """Return the treatment that is better than control and than every other treatment; None where there is none yet."""
    for name, interval in intervals.items():
        others = [each for other, each in intervals.items() if other != name]
        if not interval.is_empty and interval.low > 0 and all(interval.low > each.high for each in others):
            return name
    return None


def _decided(said: str, interval: Interval, amount: Amount) -> str:
    return f"{said} ({100 * (1 - interval.alpha):.3g}%; {amount.words}); {_ALWAYS}"


def _points(share: float) -> str:
    return decimals(abs(100 * share), 1)


def _range(least: str, most: str) -> str:
    if most == decimals(100 * _UNKNOWN, 1):
        return f"at least {least}"
    return least if least == most else f"{least} to {most}"


def _between(interval: Interval, unit: str, below: str, above: str) -> str:
    low, high = (_points(each) for each in interval[:2])
    if interval.low <= -_UNKNOWN:
        return f"at most {high}{unit} {above}, how much {below} is not known yet"
    if interval.high >= _UNKNOWN:
        return f"at most {low}{unit} {below}, how much {above} is not known yet"
    return f"between {low}{unit} {below} and {high}{unit if unit == '%' else ''} {above}"
