"""The doctor's checks of names: requests that no model is known for, and task types that have no place."""

from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts.errors import quote
from centralcloud.contracts.limits import OTHER
from centralcloud.contracts.task_score import MAX_TASK_TYPES, OTHER_TASK_TYPE
from centralcloud.runtime.diagnostics import CheckResult, ok, warn
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import counted, listed, percent

_LARGE_SHARE: Final = 0.2
_FEWEST_REQUESTS: Final = 100
_NEWEST_RECORDS: Final = 10_000
_MOST_NAMED: Final = 5
_PLACES: Final = MAX_TASK_TYPES - 1


class _OtherRequests(NamedTuple):
    """Requests of the newest 24 hours, as far as they are rolled up; `other` of them are under `OTHER`."""

    requests: int
    other: int


class _TaskTypePlaces(NamedTuple):
    """The columns of ``task_type_places.sql``.

    Attributes:
        taken: task types that are learned by themselves.
        outcomes: that came with a task type, among the newest records.
        without_place: those of them whose task type is not learned by itself.
        names: the task types of these, the most frequent one first.
        silent: learned ones with which none of the newest outcomes came.
    """

    taken: int
    outcomes: int
    without_place: int
    names: list[str]
    silent: list[str]


_OTHER_REQUESTS = Query(__package__, "other_requests", row=_OtherRequests)

_TASK_TYPE_PLACES = Query(__package__, "task_type_places", row=_TaskTypePlaces)


def check_model_names(connection: psycopg.Connection[Any]) -> CheckResult:
    """Check that most requests of the last day are under the name of a model: the others teach nothing."""
    requests, other = _OTHER_REQUESTS.one(connection, {"other": OTHER})
    if other < _FEWEST_REQUESTS or other <= _LARGE_SHARE * requests:
        return ok(f"{other:,} of {requests:,} requests of the last 24 hours are under the model {OTHER}")
    return warn(
        f"{percent(other / requests, 2)} of the requests of the last 24 hours ({other:,} of {requests:,}) are under the "
        f"model {OTHER}: nothing is learned from them",
        "`centralcloud findings` (new_names_refused) names their instances: correct their model names. If the names are "
        "right, raise names.new_per_instance or names.new_per_fleet with `centralcloud settings set`",
    )


def check_task_types(connection: psycopg.Connection[Any]) -> CheckResult:
    """Check that the task types of the newest outcomes have a place: later ones are learned as one."""
    found = _TASK_TYPE_PLACES.one(connection, {"records": _NEWEST_RECORDS, "other": OTHER_TASK_TYPE})
    if found.taken < _PLACES:
        return ok(f"{counted(found.taken, 'task type')} of at most {_PLACES} learned")
    if not found.without_place:
        return ok(f"{_PLACES} task types learned, and the newest outcomes have no other one")
    silent = f"; not among these outcomes: {_quoted(found.silent)}" if found.silent else ""
    return warn(
        f"all {_PLACES} task types are taken, so {percent(found.without_place / found.outcomes)} of the newest outcomes "
        f"with a task type are learned as {OTHER_TASK_TYPE}: {_quoted(found.names)}{silent}",
        "let routers send few task types that stay, and no ids: a task type keeps its place for ever. "
        "`centralcloud scores --task-types` shows those that have one",
    )


def _quoted(names: list[str]) -> str:
    return listed([quote(name) for name in names], _MOST_NAMED)
