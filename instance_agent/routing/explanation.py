"""The explanation of a plan: JSON of at most 2 kB, which an event carries. Pure.

The entries of its lists are encoded one by one, and no more of them than there is room for. Those of an order of targets are
encoded once: most plans share theirs.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from instance_agent.routing.plan import Plan, PlannedTarget
    from instance_agent.routing.struck import Struck

MAX_EXPLANATION_BYTES: Final = 2048
_LONGEST_NAME: Final = 60
_LONGEST_TEXT: Final = 160
_MOST_PASSED_OVER: Final = 2
_MOST_MOVED: Final = 3
_MOST_PROMOTED: Final = 2
_SHORTER_TEXT: Final = 100
#: Bytes of the names of the lists and of the numbers of entries that are left out.
_LIST_BYTES: Final = 100
_encode: Final = msgspec.json.Encoder().encode


class _Target(Struct):
    model: str | None
    provider: str | None
    reason: str
    score: float | None


class _Struck(Struct):
    target: str | None
    reason: str


class _Task(Struct, rename={"source": "from"}):
    type: str | None
    level: str
    complexity: int | None
    source: tuple[str, str]
    confidence: float | None


class _Moved(Struct):
    model: str | None
    reason: str


class _Summary(Struct, omit_defaults=True):
    """A plan without its lists; fields that say nothing are left out."""

    task: _Task
    kind: str
    rule: str | None = None
    policy: str | None = None
    policy_from: str | None = None
    agent: str | None = None
    passed_over: tuple[str, ...] = ()
    demoted: tuple[_Moved, ...] = ()
    promoted: tuple[_Moved, ...] = ()
    propensity: float | None = None
    method: str | None = None
    score_version: int | None = None
    relaxed: tuple[str, ...] = ()
    session: str | None = None
    alias: str | None = None
    config_version: int | None = None
    experiment: str | None = None
    arm: str | None = None
    arm_share: float | None = None


class TargetOrder(tuple["PlannedTarget", ...]):
    """Targets in an order that plans share, with their JSON once it was asked for: each, and those that fit as a list."""

    encoded: list[bytes] | None = None
    whole: bytes | None = None


def explain_plan(plan: "Plan") -> bytes:
    """Return a plan as JSON of at most 2 kB. Lists that are cut end with the number of entries that are left out."""
    task = plan.task
    text = _encode(
        _Summary(
            _Task(
                _short(task.task_type),
                task.level,
                task.complexity,
                (task.type_source, task.level_source),
                task.confidence,
            ),
            plan.kind,
            _short(plan.rule),
            _short(plan.policy),
            plan.policy_from,
            _short(plan.agent),
            tuple([each[:_LONGEST_TEXT] for each in plan.passed_over[:_MOST_PASSED_OVER]]),
            tuple([_Moved(_short(each.model), each.words[:_LONGEST_TEXT]) for each in plan.demoted[:_MOST_MOVED]]),
            tuple([_Moved(_short(each.model), each.words[:_SHORTER_TEXT]) for each in plan.promoted[:_MOST_PROMOTED]]),
            None if plan.propensity is None else round(plan.propensity, 6) or None,
            plan.method,
            plan.first.score_version or None,
            plan.relaxed,
            plan.affinity,
            _short(plan.alias) or None,
            plan.config_version or None,
            *(() if plan.assigned is None else (_short(plan.experiment), _short(plan.arm), _rounded(plan.arm_share))),
        )
    )
    room = MAX_EXPLANATION_BYTES - _LIST_BYTES - len(text)
    targets = _encoded_targets(plan.targets, room)
    if not plan.struck and (whole := _whole(plan.targets, targets, room)) is not None:
        return text[:-1] + whole
    # Half of the room for each, and what one does not need for the other.
    struck = _fitting(_encoded_struck(plan.struck, room), max(room // 2, room - _size(targets)))
    targets = _fitting(targets, room - _size(struck)) or targets[:1]
    lists = [b'"targets":[' + b",".join(targets) + b"]"]
    if len(targets) < len(plan.targets):
        lists.append(b'"targets_left_out":%d' % (len(plan.targets) - len(targets)))
    if struck:
        lists.append(b'"struck":[' + b",".join(struck) + b"]")
    if len(struck) < len(plan.struck):
        lists.append(b'"struck_left_out":%d' % (len(plan.struck) - len(struck)))
    return text[:-1] + b"," + b",".join(lists) + b"}"


def _encoded_targets(targets: "tuple[PlannedTarget, ...]", room: int) -> list[bytes]:
    if not isinstance(targets, TargetOrder):
        return _encoded(map(_shown, targets), room)
    if targets.encoded is None:
        targets.encoded = _encoded(map(_shown, targets), MAX_EXPLANATION_BYTES)
    return targets.encoded


def _whole(targets: "tuple[PlannedTarget, ...]", encoded: list[bytes], room: int) -> bytes | None:
    """Return the end of an explanation with every target of an order and nothing else; None where they do not fit."""
    if not isinstance(targets, TargetOrder) or len(encoded) < len(targets):
        return None
    if targets.whole is None:
        targets.whole = b',"targets":[' + b",".join(encoded) + b"]}"
    return targets.whole if len(targets.whole) <= room else None


def _encoded_struck(struck: "Sequence[Struck]", room: int) -> list[bytes]:
    return _encoded((_Struck(_short(each.key), each.code) for each in struck), room)


def _shown(planned: "PlannedTarget") -> _Target:
    model, ranked = planned.target.model, planned.ranked
    score = round(ranked.score, 3) if ranked else None
    return _Target(_short(model.name), _short(model.provider), planned.code, score)


def _encoded(entries: Iterable[Struct], room: int) -> list[bytes]:
    """Return entries as JSON until they fill the room."""
    found = []
    for entry in entries:
        text = _encode(entry)
        found.append(text)
        room -= len(text) + 1
        if room < 0:
            break
    return found


def _size(entries: Sequence[bytes]) -> int:
    return sum(map(len, entries)) + len(entries)


def _fitting(entries: list[bytes], room: int) -> list[bytes]:
    """Return as many of the entries as there is room for."""
    if _size(entries) <= room:
        return entries
    for number, entry in enumerate(entries):
        room -= len(entry) + 1
        if room < 0:
            return entries[:number]
    return entries


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 6)


def _short(name: str | None) -> str | None:
    return name if name is None or len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
