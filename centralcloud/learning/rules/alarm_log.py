"""The memory of the adaptive rule about a pair: its alarms, and where the window of its evidence begins."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from centralcloud.learning.evidence import RECENT_SLICES, Evidence, Pair
from centralcloud.learning.rule import Alarm, OpenChange, RuleState, Score
from centralcloud.learning.rules.change_detection import Split
from centralcloud.learning.rules.task_types import PRIORS

#: A change that is not a fall stays open until the new level is known from this many outcomes.
_KNOWN_LEVEL_OUTCOMES: Final = 100

# The payload of a state:
#   parts             of the newest score: mean, latency penalty, cost penalty, the half-life of these two, and mean and
#                     worth (in outcomes) of the prior
#   left_out          the instances that were excluded when it was computed
#   task_types        priors of the task types of the newest score
#   alarm             the newest change: mean reward before and after it, its statistic and its threshold
#   fallen_from       after a fall: the highest mean reward before it
#   raised            the newest slice when the alarm was raised
#   raised_without    the instances that were excluded then
#   before            the state before the alarm, until the alarm is final: a payload with its evidence_from as "after_slice"
# told_changes.py keeps more there.
PROVISIONAL_KEYS: Final = ("before", "raised", "raised_without")
#: Say with what a window begins, as told_changes.py has set them: not the one that begins with an alarm.
_UNTIL_ALARM_KEYS: Final = ("changed", "prior", "before_told")


class Past(NamedTuple):
    """The rule's knowledge of a pair before this run.

    Attributes:
        state: the state, without alarms that were taken back.
        parts: of the score before: mean, latency penalty, cost penalty, the half-life of these two, in outcomes of the fleet
            (missing in scores that were computed when it was 3,000), and mean and worth of the prior (missing in those that
            were computed when it was 0.5, worth 2 outcomes). None for a pair without a score.
        left_out: the instances that were excluded then.
    """

    state: RuleState
    parts: list[float] | None
    left_out: frozenset[str]


def read_state(state: RuleState, evidence: Evidence) -> Past:
    """Take back the newest alarms of a state if an instance contributed to them that is excluded by now.

    The outcomes of the other instances are then examined as if there had been no alarm; if they show the change too, it is
    found again in the same run. Otherwise a few slices of false reports would cost the pair all its earlier evidence.
    """
    parts = state.payload.get("parts")
    left_out = frozenset(state.payload.get("left_out", ()))
    payload = {name: value for name, value in state.payload.items() if name not in ("parts", "left_out", PRIORS)}
    payload = _without_old_alarms({**payload, "after_slice": state.evidence_from}, evidence)
    while "before" in payload and not evidence.excluded.issubset(payload["raised_without"]):
        payload = payload["before"]
    return Past(state_of(payload), parts, left_out)


def state_of(payload: dict[str, Any]) -> RuleState:
    """Return the state of a payload that includes `after_slice`."""
    return RuleState(
        evidence_from=payload.get("after_slice", 0),
        earlier_boundaries=tuple(_earlier_boundaries(payload)),
        payload={name: value for name, value in payload.items() if name != "after_slice"},
    )


def _earlier_boundaries(payload: dict[str, Any]) -> Iterator[int]:
    if "named" in payload:
        yield payload["named"][1]
    for name in ("before", "before_told"):
        if name in payload:
            yield payload[name].get("after_slice", 0)
            yield from _earlier_boundaries(payload[name])


def _without_old_alarms(payload: dict[str, Any], evidence: Evidence) -> dict[str, Any]:
    """Return the payload without the states before old alarms: no instance is excluded any more for reports of that time."""
    if "before" not in payload:
        return payload
    if evidence.size - evidence.position_after(payload["raised"]) >= RECENT_SLICES:
        return {name: value for name, value in payload.items() if name not in PROVISIONAL_KEYS}
    return {**payload, "before": _without_old_alarms(payload["before"], evidence)}


def record_alarm(state: RuleState, split: Split, column: int, evidence: Evidence) -> RuleState:
    """Begin the window at the change (step 1). A higher level before the change is remembered, a lower one is not."""
    before, after = float(split.before[column]), float(split.after[column])
    changed = {
        **state.payload,
        "after_slice": evidence.slices[int(split.position[column]) - 1],
        "alarm": [before, after, float(split.statistic[column]), float(split.threshold[column])],
        "raised": evidence.slices[-1],
        "raised_without": sorted(evidence.excluded),
        "before": {**state.payload, "after_slice": state.evidence_from},
    }
    for name in ("fallen_from", *_UNTIL_ALARM_KEYS):
        changed.pop(name, None)
    if before > after:
        changed["fallen_from"] = max(before, state.payload.get("fallen_from", 0.0))
    return state_of(changed)


def open_change(score: Score, state: RuleState) -> Iterator[OpenChange]:
    """Yield a fall that the pair has not recovered from, or another change until the new level is known well."""
    fallen_from = state.payload.get("fallen_from")
    if "alarm" not in state.payload or not (fallen_from or score.samples < _KNOWN_LEVEL_OUTCOMES):
        return
    before, after, statistic, threshold = state.payload["alarm"]
    yield OpenChange(
        model=score.model,
        complexity=score.complexity,
        fell=after < before,
        # A fall in the middle of a slice is noticed in two steps: report the level before the first one.
        before=before if fallen_from is None else max(before, fallen_from),
        after=after,
        statistic=statistic,
        threshold=threshold,
        mean=score.estimate.mean or 0.0,
    )


def alarm_of(pair: Pair, split: Split, column: int, evidence: Evidence) -> Alarm:
    """Return the alarm for the change of `pair`, the pair in `column`."""
    position = int(split.position[column])
    return Alarm(
        model=pair[0],
        complexity=pair[1],
        before=round(float(split.before[column]), 4),
        after=round(float(split.after[column]), 4),
        after_slice=evidence.slices[position - 1],
        at=evidence.opened_at[position],
        statistic=round(float(split.statistic[column]), 2),
        threshold=round(float(split.threshold[column]), 2),
        whole_model=bool(split.whole_model[column]),
    )
