"""The plan of a request in words: its task, what applied, the candidates, those that were left out. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from centralcloud.dashboard.pages.addresses import COMPLEXITIES, pair_url
from centralcloud.dashboard.pages.request_words import (
    method_words,
    place_words,
    policy_source_words,
    relaxed_words,
    session_words,
    struck_words,
)

#: Longer names are cut in the event that brings a plan.
_LONGEST_NAME: Final = 60


class Candidate(NamedTuple):
    """A target of the plan. `called`: which attempt has called it; None: none did."""

    place: int
    model: str
    provider: str
    url: str
    why: str
    score: float | None
    called: int | None


class LeftOut(NamedTuple):
    """A target that the plan leaves out."""

    target: str
    why: str


class Moved(NamedTuple):
    """A model that is tried later or earlier than it is listed."""

    model: str
    why: str
    later: bool


class PlanView(NamedTuple):
    """A plan. `more_candidates`, `more_left_out`: how many did not fit into the event that brought it."""

    kind: str
    method: str | None
    propensity: float | None
    rule: str | None
    policy: str | None
    policy_from: str | None
    agent: str | None
    alias: str | None
    session: str | None
    passed_over: tuple[str, ...]
    relaxed: tuple[str, ...]
    moved: tuple[Moved, ...]
    candidates: tuple[Candidate, ...]
    more_candidates: int
    left_out: tuple[LeftOut, ...]
    more_left_out: int
    score_version: int | None
    config_version: int | None


def plan_view(plan: Mapping[str, Any], complexity: str, called: Mapping[tuple[str, str], int]) -> PlanView:
    """Return a plan as a page shows it. A field that is missing, or of another form, counts as empty.

    Args:
        plan: as the gateway wrote it.
        complexity: of the task.
        called: the number of the first attempt at each target, by model and provider as `planned_name` returns them.
    """
    return PlanView(
        kind=place_words(_text(plan, "kind") or "best"),
        method=(method := _text(plan, "method")) and method_words(method),
        propensity=_number(plan, "propensity"),
        rule=_text(plan, "rule"),
        policy=_text(plan, "policy"),
        policy_from=(source := _text(plan, "policy_from")) and policy_source_words(source),
        agent=_text(plan, "agent"),
        alias=_text(plan, "alias"),
        session=(session := _text(plan, "session")) and session_words(session),
        passed_over=tuple(map(str, _list(plan, "passed_over"))),
        relaxed=tuple(relaxed_words(str(code)) for code in _list(plan, "relaxed")),
        moved=(*_moved(plan, "demoted", later=True), *_moved(plan, "promoted", later=False)),
        candidates=_candidates(plan, complexity, called),
        more_candidates=_whole(plan, "targets_left_out") or 0,
        left_out=tuple(
            LeftOut(_text(each, "target") or "unknown", struck_words(_text(each, "reason") or "unknown"))
            for each in _entries(plan, "struck")
        ),
        more_left_out=_whole(plan, "struck_left_out") or 0,
        score_version=_whole(plan, "score_version"),
        config_version=_whole(plan, "config_version"),
    )


def places_of(plan: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Return why each target stands where it stands, by model and provider: the first entry of each."""
    found: dict[tuple[str, str], str] = {}
    for each in _entries(plan, "targets"):
        found.setdefault((_text(each, "model") or "", _text(each, "provider") or ""), _text(each, "reason") or "")
    return found


def planned_name(name: str) -> str:
    """Return a name as a plan has it: cut after 60 characters."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def task_of(plan: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the task of a plan; empty without one."""
    task = plan.get("task")
    return task if isinstance(task, dict) else {}


def _candidates(
    plan: Mapping[str, Any], complexity: str, called: Mapping[tuple[str, str], int]
) -> tuple[Candidate, ...]:
    found = []
    for place, each in enumerate(_entries(plan, "targets"), start=1):
        model, provider = _text(each, "model") or "unknown", _text(each, "provider") or "unknown"
        is_cut = len(model) == _LONGEST_NAME and model.endswith("…")
        url = pair_url(model, complexity) if complexity in COMPLEXITIES and not is_cut else ""
        why = place_words(_text(each, "reason") or "unknown")
        attempt = called.get((model, provider))
        found.append(Candidate(place, model, provider, url, why, _number(each, "score"), attempt))
    return tuple(found)


def _moved(plan: Mapping[str, Any], name: str, *, later: bool) -> tuple[Moved, ...]:
    return tuple(
        Moved(_text(each, "model") or "unknown", _text(each, "reason") or "", later) for each in _entries(plan, name)
    )


def _entries(value: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    return [each for each in _list(value, name) if isinstance(each, dict)]


def _list(value: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = value.get(name)
    return found if isinstance(found, list) else []


def _text(value: Mapping[str, Any], name: str) -> str | None:
    found = value.get(name)
    return found if isinstance(found, str) and found else None


def _number(value: Mapping[str, Any], name: str) -> float | None:
    found = value.get(name)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def _whole(value: Mapping[str, Any], name: str) -> int | None:
    found = value.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) else None
