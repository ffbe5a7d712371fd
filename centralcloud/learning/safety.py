"""The limits of a run: results that are not valid are never published, large moves only if an operator forces them."""

import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from centralcloud.contracts.limits import MAX_INT8
from centralcloud.learning.evidence import Pair
from centralcloud.learning.rule import HIGHEST_SCORE, LOWEST_SCORE, RuleResult, RuleState, Score
from centralcloud.runtime.wording import listed, percent

#: Fewer pairs than this may all move at once: one failing model of a small fleet must not stop publication.
_LEAST_PAIRS: Final = 4


class SafetyLimits(BaseModel):
    """How much one run may move.

    Attributes:
        moved_share: a run is not published if more than this share of the pairs (0 to 1) moves by more than `moved_step`
            (0 to 5, compared with the previous score of the same rule).
    """

    model_config = ConfigDict(frozen=True)

    moved_share: float = Field(default=0.5, ge=0, le=1)
    moved_step: Decimal = Field(default=Decimal("1.0"), ge=0, le=5)


def invalid_fields(result: RuleResult) -> list[str]:
    """Say what is not a valid score or state; empty for a valid result."""
    return [
        f"{score.model} ({score.complexity}): found {found}, expected {expected}"
        for score in result.scores
        for found, expected in (*_invalid_score(score), *_invalid_state(result.states.get(score.pair, RuleState())))
    ]


def exceeds_limits(scores: Iterable[Score], before: Mapping[Pair, Decimal], limits: SafetyLimits) -> list[str]:
    """Say why a run may not be published unless an operator forces it; empty if it moves no more than the limits allow."""
    known = [score for score in scores if score.pair in before]
    moved = [score for score in known if abs(score.score - before[score.pair]) > limits.moved_step]
    if len(known) < _LEAST_PAIRS or len(moved) <= limits.moved_share * len(known):
        return []
    pairs = listed([f"{score.model} ({score.complexity})" for score in moved], 3)
    return [
        f"{len(moved)} of {len(known)} pairs would move by more than {limits.moved_step}: {pairs}; "
        f"expected at most {percent(limits.moved_share, 0)}: `centralcloud learn --force` publishes it"
    ]


def _invalid_score(score: Score) -> Iterable[tuple[str, str]]:
    given: object = score.score  # an installed rule may return anything
    if not isinstance(given, Decimal):
        yield f"score {given!r}", "a Decimal"
    elif not given.is_finite() or not LOWEST_SCORE <= given <= HIGHEST_SCORE:
        yield f"score {given}", f"{LOWEST_SCORE} to {HIGHEST_SCORE}"
    elif given != round(given, 3):
        yield f"score {given}", "at most three places"
    if "\0" in score.reason:
        yield "a reason with a zero byte", "text"
    estimate = score.estimate
    low, high = estimate.interval or (None, None)
    shares = {
        "confidence": score.confidence,
        "mean": estimate.mean,
        "low": low,
        "high": high,
        "probe_share": estimate.probe_share,
    }
    for name, value in shares.items():
        if value is not None and not 0 <= value <= 1:
            yield f"{name} {value}", "a number from 0 to 1"
    for name, value in {"n_eff": estimate.n_eff, "draw_n": estimate.draw_n}.items():
        if value is not None and not 0 <= value < math.inf:
            yield f"{name} {value}", "a finite number, 0 or more"


def _invalid_state(state: object) -> Iterable[tuple[str, str]]:
    if not isinstance(state, RuleState):
        yield f"the state {state!r}", "a RuleState"
        return
    for slice_no in (state.evidence_from, *state.earlier_boundaries):
        if type(slice_no) is not int or not 0 <= slice_no <= MAX_INT8:
            yield f"the boundary {slice_no!r} in a state", "the number of a slice"
    payload: object = state.payload
    try:
        json.dumps(payload, allow_nan=False)
    except (TypeError, ValueError) as error:
        yield f"a state whose payload is not JSON ({error})", "a JSON object"
        return
    if not isinstance(payload, dict):
        yield f"the payload {payload!r} of a state", "a JSON object"
