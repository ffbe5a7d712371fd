"""What no run may publish by itself."""

import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from centralcloud.learning.evidence import Pair
from centralcloud.learning.rule import HIGHEST_SCORE, LOWEST_SCORE, RuleResult, Score

#: Fewer pairs than this may all move at once: one model of a small fleet that fails is no reason to stand still.
_LEAST_PAIRS: Final = 4


class SafetyLimits(BaseModel):
    """How much one run may move.

    Attributes:
        moved_share: a run in which more than this share of the pairs (0 to 1) moves by more than `moved_step` (0 to 5,
            against what the same rule gave them before) is not published.
    """

    model_config = ConfigDict(frozen=True)

    moved_share: float = Field(default=0.5, ge=0, le=1)
    moved_step: Decimal = Field(default=Decimal("1.0"), ge=0, le=5)


def invalid_fields(result: RuleResult) -> list[str]:
    """What is no score at all, in words: nobody can want it published."""
    return [
        f"{score.model} ({score.complexity}): found {what}, expected {expected}"
        for score in result.scores
        for what, expected in (*_invalid_fields(score), *_invalid_state(result.state.get(score.pair, {})))
    ]


def exceeds_limits(scores: Iterable[Score], before: Mapping[Pair, Decimal], limits: SafetyLimits) -> list[str]:
    """Why so much should not move in one run, unless an operator wants it to; empty when it is not too much."""
    known = [score for score in scores if score.pair in before]
    moved = [score for score in known if abs(score.score - before[score.pair]) > limits.moved_step]
    if len(known) < _LEAST_PAIRS or len(moved) <= limits.moved_share * len(known):
        return []
    pairs = ", ".join(f"{score.model} ({score.complexity})" for score in moved[:3])
    more = f" and {len(moved) - 3} more" if len(moved) > 3 else ""
    return [
        f"{len(moved)} of {len(known)} pairs would move by more than {limits.moved_step}: {pairs}{more}; "
        f"expected at most {limits.moved_share:.0%}: `centralcloud learn --force` publishes it"
    ]


def _invalid_fields(score: Score) -> Iterable[tuple[str, str]]:
    given: object = score.score  # by a rule of somebody else's
    if not isinstance(given, Decimal):
        yield f"score {given!r}", "a Decimal"
    elif not given.is_finite() or not LOWEST_SCORE <= given <= HIGHEST_SCORE:
        yield f"score {given}", f"{LOWEST_SCORE} to {HIGHEST_SCORE}"
    elif given != round(given, 3):
        yield f"score {given}", "at most three places"
    if "\0" in score.reason:
        yield "a reason with a zero byte", "text"
    for name in ("confidence", "mean", "low", "high", "probe_share"):
        value = getattr(score, name)
        if value is not None and not 0 <= value <= 1:
            yield f"{name} {value}", "a number from 0 to 1"
    if score.n_eff is not None and not 0 <= score.n_eff < math.inf:
        yield f"n_eff {score.n_eff}", "a finite number, 0 or more"


def _invalid_state(state: object) -> Iterable[tuple[str, str]]:
    try:
        json.dumps(state, allow_nan=False)
    except (TypeError, ValueError) as error:
        yield f"a state that is no JSON ({error})", "a JSON object"
        return
    if not isinstance(state, dict) or not isinstance(state.get("after_slice", 0), int):
        yield f"the state {state!r}", "a JSON object; if it has `after_slice`, an integer"
