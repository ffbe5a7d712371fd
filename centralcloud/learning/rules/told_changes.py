"""Changes of a model that its provider or an operator told: the pair begins anew, with its old estimate as a weak prior.

Also the ids that answers name and that do not count yet: each is a reason to suspect a rise.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from centralcloud.learning.evidence import RECENT_SLICES, Evidence, ModelChange, Pair
from centralcloud.learning.rule import RuleState
from centralcloud.learning.rules.alarm_log import PROVISIONAL_KEYS, Past, state_of
from centralcloud.learning.rules.suspicion import Told
from centralcloud.runtime.arrays import Integers, np
from centralcloud.runtime.wording import counted

#: The estimate of the former version counts like so many outcomes of the new one. From 0.3 to 4, the regret of a trailer
#: that has become the best differs by less than 0.1 points.
PRIOR_WORTH: Final = 1.0
#: The prior of an old estimate whose parts do not name one: its mean, and how many outcomes it counts like.
_NO_PRIOR: Final = (0.5, 2.0)

# The payload of a state, beside what alarm_log.py keeps there:
#   told         the newest change that was looked at, by its number
#   changed      the change with which the window begins, until an alarm moves it: number, versions before and after (null:
#                an operator told it), and the instance that told it (null: all, or an operator)
#   prior        the old mean, and how many outcomes it counts like
#   before_told  the state before the change: a payload with its evidence_from as "after_slice"
#   named        the newest id that an answer has named before it counted, and the slice after which the first one did: it
#                stays when the id does not, so that ids that alternate make their pair suspected once


def note_new_versions(past: Sequence[Past], evidence: Evidence) -> tuple[list[Past], Integers]:
    """Note the ids that answers name and that do not count yet.

    Returns:
        The pairs with their notes, and for each the position since which answers name such an id; -1 where none does.
    """
    since = np.full(len(past), -1, dtype=np.int64)
    noted = list(past)
    for column, pair in enumerate(evidence.pairs) if evidence.new_versions else ():
        found = [
            each
            for each in evidence.new_versions.get(pair, ())
            if not each.instances or not each.instances <= evidence.excluded
        ]
        if not found:
            continue
        state = past[column].state
        version, after_slice = state.payload.get("named", (None, 0))
        if version != found[-1].version:
            version, after_slice = found[-1].version, found[-1].after_slice
            payload = {**state.payload, "after_slice": state.evidence_from, "named": [version, after_slice]}
            noted[column] = past[column]._replace(state=state_of(payload))
        since[column] = evidence.position_after(after_slice)
    return noted, since


def told_of(states: Sequence[RuleState], since: Integers, starts: Integers) -> Told:
    """Return where a version was told: where the window began with its change, or where its id was named first, `since`."""
    former = np.full(len(states), np.nan)
    for column, state in enumerate(states):
        if "changed" in state.payload and "prior" in state.payload:
            former[column] = state.payload["prior"][0]
    return Told(np.where(np.isnan(former), since, starts), former)


def apply_changes(past: Sequence[Past], evidence: Evidence) -> list[Past]:
    """Begin the window of each pair anew whose model was changed since the run before; `past` is by column."""
    if not evidence.changes and not any("changed" in each.state.payload for each in past):
        return list(past)
    return [
        each._replace(state=_apply(each, evidence, pair, column))
        for column, (each, pair) in enumerate(zip(past, evidence.pairs, strict=True))
    ]


def _apply(past: Past, evidence: Evidence, pair: Pair, column: int) -> RuleState:
    changes = evidence.changes.get(pair, ())
    state = _taken_back(past.state, changes, evidence)
    told = state.payload.get("told", 0)
    new = [each for each in changes if each.change_id > told]
    if not new:
        return state
    state = state_of({**state.payload, "after_slice": state.evidence_from, "told": new[-1].change_id})
    # An instance that is quarantined tells nothing. A change before the window is the one that an alarm has found.
    true = [each for each in new if not each.undone and each.instance_id not in evidence.excluded]
    if not true or true[-1].after_slice <= state.evidence_from:
        return state
    prior = state.payload.get("prior") or (past.parts or ())[4:6] or _NO_PRIOR
    return _begin_anew(state, true[-1], prior, evidence, column)


def _begin_anew(
    state: RuleState, change: ModelChange, prior: Sequence[float], evidence: Evidence, column: int
) -> RuleState:
    start, end = evidence.position_after(state.evidence_from), evidence.position_after(change.after_slice)
    outcomes, reward = (
        float(evidence.total(name, end)[column] - evidence.total(name, start)[column])
        for name in ("outcomes", "reward")
    )
    mean, worth = prior
    old = {name: value for name, value in state.payload.items() if name not in ("before_told", *PROVISIONAL_KEYS)}
    payload: dict[str, Any] = {
        "after_slice": change.after_slice,
        "told": state.payload["told"],
        "changed": [change.change_id, change.version_before, change.version_after, change.instance_id],
        "before_told": {**old, "after_slice": state.evidence_from},
    }
    if outcomes or "prior" in state.payload:
        level = (reward + mean * worth) / (outcomes + worth)
        payload["prior"] = [level, PRIOR_WORTH]
        # A version that turns out to be worse may be taken back, and its id has counted before then.
        payload["fallen_from"] = max(level, state.payload.get("fallen_from", 0.0))
    return state_of(payload)


def _taken_back(state: RuleState, changes: Sequence[ModelChange], evidence: Evidence) -> RuleState:
    """Return the state before a change that an operator has undone, or an instance has told that is quarantined by now."""
    changed = state.payload.get("changed")
    if changed is None or "before_told" not in state.payload:
        return state
    undone = any(each.undone for each in changes if each.change_id == changed[0])
    is_recent = evidence.size - evidence.position_after(state.evidence_from) < RECENT_SLICES
    if not undone and not (is_recent and changed[3] in evidence.excluded):
        return state
    return state_of({**state.payload["before_told"], "told": state.payload["told"]})


def sentence_of(state: RuleState) -> str:
    """Return the words for the change with which the window begins; "" if it begins otherwise."""
    changed = state.payload.get("changed")
    if changed is None:
        return ""
    _, before, after, _ = changed
    what = (
        "an operator said that the model changed then"
        if after is None
        else f"answers name {after} since then, not {before}"
    )
    prior = state.payload.get("prior")
    return f"; {what}" + (
        f": its mean before, {prior[0]:.3f}, counts like {counted(round(prior[1]), 'outcome')}" if prior else ""
    )


def reason_of(state: RuleState, since: datetime) -> str:
    """Return the words for why a rise is suspected since another version was told."""
    if "changed" in state.payload:
        return "its model changed then"
    return f"answers name {state.payload['named'][0]} since {since:%Y-%m-%d %H:%M} UTC"
