"""The state of a demonstration at one moment, as its views show it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg

from centralcloud.demo.progress import Point
from centralcloud.demo.story import Line
from centralcloud.monitoring.reports import ModelMetrics, current_scores
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query

Pair = tuple[str, str]


class _Sync(NamedTuple):
    in_sync: int
    at_newest: int
    newest_version: int


class _Cost(NamedTuple):
    model: str
    complexity: str
    cost_usd: float


_QUEUE_LENGTH = Query(__package__, "queue_length", row=int)
_HOURLY_COSTS = Query(__package__, "hourly_costs", row=_Cost)
_ROUTERS_IN_SYNC = Query(__package__, "routers_in_sync", row=_Sync)
#: Every record is counted in exactly one of these columns.
_EVENT_COUNTERS = ("routed_count", "success_count", "failure_count", "blameless_count")


@dataclass(frozen=True, slots=True)
class LoopState:
    """The state of the loop, as the database has it.

    Attributes:
        events: ingested so far.
        in_sync: instances that use every score that was published at least a second ago.
        at_newest: instances that use the newest published score.
        version: of that score; 0 for none.
        metrics, scores: rows of `centralcloud metrics` and `scores`, by (model, complexity).
    """

    events: int
    queue_length: int
    in_sync: int
    at_newest: int
    version: int
    metrics: Mapping[Pair, Mapping[str, Any]]
    scores: Mapping[Pair, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that the live view and the plain lines show.

    Attributes:
        seconds: since the start.
        points: the curve of the success rate.
        rate_at_start, rate, best: success rate before learning began, now, and of a fleet that always chooses the best
            model, 0 to 1; None while there are no tasks.
        cost_at_start, cost: USD per 1,000 tasks, before learning began and now.
        learning: whether learning has begun.
        shares: share of the tasks of a complexity that each model gets now.
        leaders: the model that gets most tasks, by complexity.
        degraded: what the incident has made worse.
        events_per_second: ingested since the last state.
        curl: a command that the gateway answers; None without a gateway.
        dashboard: address of the pages; None without them.
        exports: the line for a shell that the commands of the pages need.
    """

    seconds: float
    routers: int
    exploration: float
    points: tuple[Point, ...]
    rate_at_start: float | None
    rate: float | None
    best: float
    cost_at_start: float | None
    cost: float | None
    learning: bool
    shares: Mapping[Pair, float]
    leaders: Mapping[str, str]
    degraded: frozenset[Pair]
    loop: LoopState
    events_per_second: float
    curl: str | None = None
    dashboard: str | None = None
    exports: str | None = None
    story: tuple[Line, ...] = ()


def read_loop(database: Database) -> LoopState:
    """Read the state of the loop from the database."""
    with database.transaction() as connection:
        queue_length = _QUEUE_LENGTH.one(connection)
        sync = _ROUTERS_IN_SYNC.one(connection)
        metrics = {(row["model"], row["complexity"]): row for row in ModelMetrics(connection).all()}
        scores = {(row["model"], row["complexity"]): row for row in current_scores(connection)}
    events = sum(row[counter] for row in metrics.values() for counter in _EVENT_COUNTERS)
    return LoopState(events, queue_length, *sync, metrics, scores)


def read_costs(connection: psycopg.Connection[Any]) -> dict[Pair, float]:
    """Read the cost of each (model, complexity) in USD, from the hourly roll-up."""
    return {(row.model, row.complexity): row.cost_usd for row in _HOURLY_COSTS.all(connection)}
