"""Bad minutes: an outage of one arm says nothing about its model, and is left out of the evidence for a promotion.

An outage of control would otherwise promote a worse model (in 76% of simulated canaries). Leaving out by outcome is outside
the guarantee of the e-process; in healthy experiments it happens about never.
"""

import math
from typing import Final, NamedTuple

#: A minute is not bad with fewer failed sessions, ones with more than half failures.
_LEAST_FAILED: Final = 4
_RARE: Final = 1e-6
#: The usual state is known after so many sessions of control.
_USUAL_AFTER: Final = 200
#: After so many minutes in a row the new state is the usual one.
_MOST_IN_A_ROW: Final = 15


class ArmMinute(NamedTuple):
    """The sessions of an arm that had a decision in a minute, and how many of them mostly failed in it."""

    sessions: int
    failed: int


class BadMinutes(NamedTuple):
    """The usual state of control, as seen so far. Immutable: `judge` returns the next state.

    Attributes:
        sessions, failed: of control, in minutes that were not bad.
        in_a_row: bad minutes until now.
    """

    sessions: int = 0
    failed: int = 0
    in_a_row: int = 0


class Judgement(NamedTuple):
    """Which arm was out of order in a minute."""

    control: bool
    treatment: bool


def judge(usual: BadMinutes, control: ArmMinute, treatment: ArmMinute) -> tuple[Judgement, BadMinutes]:
    """Judge one minute, by what was usual before it."""
    if usual.sessions < _USUAL_AFTER:
        return Judgement(False, False), _with(usual, control)
    found = Judgement(_is_bad(control, usual), _is_bad(treatment, usual))
    if not any(found):
        return found, _with(usual._replace(in_a_row=0), control)
    if usual.in_a_row + 1 >= _MOST_IN_A_ROW:
        return found, BadMinutes()
    return found, usual._replace(in_a_row=usual.in_a_row + 1)


def _with(usual: BadMinutes, control: ArmMinute) -> BadMinutes:
    return usual._replace(sessions=usual.sessions + control.sessions, failed=usual.failed + control.failed)


def _is_bad(minute: ArmMinute, usual: BadMinutes) -> bool:
    if minute.failed < _LEAST_FAILED:
        return False
    rate = (usual.failed + 0.5) / (usual.sessions + 1)
    return _chance_of_at_least(minute.failed, minute.sessions, rate) < _RARE


def _chance_of_at_least(count: int, of: int, rate: float) -> float:
    """Return the upper tail of the binomial distribution."""
    log_rate, log_rest = math.log(rate), math.log1p(-rate)
    total = 0.0
    for each in range(count, of + 1):
        choose = math.lgamma(of + 1) - math.lgamma(each + 1) - math.lgamma(of - each + 1)
        term = math.exp(choose + each * log_rate + (of - each) * log_rest)
        total += term
        if term < total * 1e-17:
            break
    return min(total, 1.0)
