"""The history of scores, read for one page at a time."""

from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.dashboard.reader.source import Lookup
from centralcloud.runtime.postgres.query import Query

#: Changes of a page, and of the page of one pair; one more is read, to know whether there are older ones.
MOST_CHANGES: Final = 100
MOST_PAIR_CHANGES: Final = 20
#: The largest version there can be: everything is before it.
NO_VERSION: Final = 2**63 - 1
#: An answer stands until a newer version is published, which is one of the arguments.
_KEEP_SECONDS: Final = 600.0


class PublishedScore(NamedTuple):
    """A change of a score that was published.

    Attributes:
        old_score: None for the first one.
        kind: its name in code: why it changed. ``alarm`` stays until the next change of the model; see `alarm`.
        run_id: None outside a run of the learner.
        alarm: whether this version begins a new window, because the model has suddenly changed.
    """

    version: int
    at: datetime
    model: str
    complexity: str
    old_score: float | None
    new_score: float
    rule: str
    kind: str
    reason: str
    run_id: int | None
    alarm: bool


class ScoreStep(NamedTuple):
    """A published score of a pair, as the chart draws it.

    Attributes:
        low, high: the interval of the success rate, 0 to 1; None for a rule without one.
        latency_penalty, cost_penalty: parts of 1 that were taken off the success rate.
        alarm: whether this version begins a new window because the model has changed.
        reason: of an alarm, and of a score that an operator has set; else empty.
    """

    version: int
    at: datetime
    score: float
    rule: str
    kind: str
    samples: int
    success_rate: float | None
    low: float | None
    high: float | None
    latency_penalty: float | None
    cost_penalty: float | None
    alarm: bool
    reason: str


_LIST_CHANGES = Query(__package__, "list_changes", row=PublishedScore)
_LIST_PAIR_CHANGES = Query(__package__, "list_pair_changes", row=PublishedScore)
_LIST_PAIR_STEPS = Query(__package__, "list_pair_steps", row=ScoreStep)


def _changes(
    connection: psycopg.Connection[Any],
    before: int,
    model: str,
    complexity: str,
    kind: str,
    newest: int,
) -> tuple[PublishedScore, ...]:
    wanted = {"before": before, "model": model, "complexity": complexity, "kind": kind, "limit": MOST_CHANGES + 1}
    return tuple(_LIST_CHANGES.all(connection, wanted | {"before": min(before, newest + 1)}))


def _pair_changes(
    connection: psycopg.Connection[Any],
    model: str,
    complexity: str,
    before: int,
    newest: int,  # noqa: ARG001 - names the answer
) -> tuple[PublishedScore, ...]:
    wanted = {"model": model, "complexity": complexity, "before": before, "limit": MOST_PAIR_CHANGES + 1}
    return tuple(_LIST_PAIR_CHANGES.all(connection, wanted))


def _pair_steps(
    connection: psycopg.Connection[Any],
    model: str,
    complexity: str,
    hours: int | None,
    newest: int,  # noqa: ARG001 - names the answer
) -> tuple[ScoreStep, ...]:
    return tuple(_LIST_PAIR_STEPS.all(connection, {"model": model, "complexity": complexity, "hours": hours}))


#: Arguments: before this version; part of a model's name, a complexity, a kind ("": any); the newest version.
PUBLISHED_CHANGES: Final = Lookup("published_changes", _changes, keep_seconds=_KEEP_SECONDS)
#: Arguments: model, complexity, before this version, the newest version of the pair.
PAIR_CHANGES: Final = Lookup("pair_changes", _pair_changes, keep_seconds=_KEEP_SECONDS)
#: Arguments: model, complexity, hours (None: all), the newest version of the pair.
PAIR_STEPS: Final = Lookup("pair_steps", _pair_steps, keep_seconds=_KEEP_SECONDS)
