"""Demotion: a model of a policy that has clearly fallen by its learned scores is tried last, until they rise again. Pure.

Two rules, both on learned numbers of the complexity of the task; a model without them is not demoted:

- ``failing``: with the certainty of the estimate's interval (5% to 95%), it fails more often than not.
- ``fallen``: another model of the policy is better with the same certainty (its interval lies above), and by at least 0.1 of
  success probability. Where scores come without an estimate, a score that is lower by at least 1.0 of 5.

Nothing is stored: the next scores decide again. An estimate widens as its evidence ages, so a demoted model returns even
without calls.
"""

import math
from collections.abc import Collection, Sequence
from typing import Final, Literal

from msgspec import Struct

from instance_agent.catalog.learned_scores import LearnedScore

LEAST_DIFFERENCE: Final = 0.1
LEAST_SCORE_DIFFERENCE: Final = 1.0
#: Standard deviations of the 5% to 95% interval.
_Z: Final = 1.645
_MOST_NAMES: Final = 3


class Demotion(Struct, frozen=True):
    """A model that is tried last.

    Attributes:
        model: its name.
        code: the rule.
        words: the reason, with the numbers.
    """

    model: str
    code: Literal["failing", "fallen"]
    words: str


class Promotion(Struct, frozen=True):
    """A model that is tried earlier than it is listed, because others are demoted.

    Attributes:
        model: its name.
        words: the reason.
    """

    model: str
    words: str


def promotions(listed: Sequence[str], demoted: Collection[str]) -> tuple[Promotion, ...]:
    """Return the models that are tried before one that is listed before them.

    Args:
        listed: names of models in the order of the policy.
        demoted: names of those that are tried last.
    """
    passed: list[str] = []
    found = []
    for name in listed:
        if name in demoted:
            passed.append(name)
        elif passed:
            which = "which is demoted" if len(passed) == 1 else "which are demoted"
            more = f" and {len(passed) - _MOST_NAMES} more" if len(passed) > _MOST_NAMES else ""
            found.append(Promotion(name, f"tried before {', '.join(passed[:_MOST_NAMES])}{more}, {which}"))
    return tuple(found)


def demotions(learned: Sequence[tuple[str, LearnedScore | None]]) -> dict[str, Demotion]:
    """Return the models of a list that are demoted, by name.

    Args:
        learned: each model with its learned score for the complexity of the task.
    """
    known = {name: score for name, score in learned if score is not None}
    if not known or len(learned) < 2:
        return {}
    found = {}
    for name, score in known.items():
        others = [(other, each) for other, each in known.items() if other != name]
        if (demotion := _failing(name, score) or _fallen(name, score, others)) is not None:
            found[name] = demotion
    return found


def _failing(name: str, score: LearnedScore) -> Demotion | None:
    interval = _interval(score)
    if interval is None or interval[1] >= 0.5:
        return None
    words = f"it succeeds in {score.estimate.mean:.0%} of these tasks (at most {interval[1]:.0%})"
    return Demotion(name, "failing", words)


def _fallen(name: str, score: LearnedScore, others: Sequence[tuple[str, LearnedScore]]) -> Demotion | None:
    own, mean = _interval(score), score.estimate.mean
    for other, better in others:
        theirs, their_mean = _interval(better), better.estimate.mean
        if own is not None and theirs is not None and mean is not None and their_mean is not None:
            if own[1] < theirs[0] and their_mean - mean >= LEAST_DIFFERENCE:
                words = (
                    f"it succeeds in {mean:.0%} of these tasks (at most {own[1]:.0%}), {other} in {their_mean:.0%} "
                    f"(at least {theirs[0]:.0%})"
                )
                return Demotion(name, "fallen", words)
        elif own is None and theirs is None and better.score - score.score >= LEAST_SCORE_DIFFERENCE:
            words = f"its learned score is {score.score:.2f}, that of {other} {better.score:.2f}"
            return Demotion(name, "fallen", words)
    return None


def _interval(score: LearnedScore) -> tuple[float, float] | None:
    """Return the 5% to 95% interval of the success probability; None without an estimate."""
    estimate = score.estimate
    if estimate.mean is None or estimate.n_eff is None:
        return None
    if estimate.interval is not None:
        return estimate.interval
    half = _Z * math.sqrt(estimate.mean * (1 - estimate.mean) / (estimate.n_eff + 1))
    return max(0.0, estimate.mean - half), min(1.0, estimate.mean + half)
