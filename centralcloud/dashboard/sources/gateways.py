"""The gateways, and how the requests that they answer end."""

from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.dashboard.reader.source import Lookup, Source, Tier
from centralcloud.runtime.postgres.query import Query

#: Events of gateways that the newest requests are searched in: those of the page, those of a filter, and further back.
_NEWEST_EVENTS: Final = 500
SEARCHED_EVENTS: Final = 20_000
FURTHER_EVENTS: Final = 200_000
_HOUR_SECONDS: Final = 60.0
#: Maintenance makes the sums of a day once an hour, and reading them takes up to a second.
_DAY_SECONDS: Final = 600.0
_SEARCH_SECONDS: Final = 15.0


class Gateway(NamedTuple):
    """A gateway that has answered within five minutes.

    Attributes:
        requests: those within the last `seconds`, at most 300.
        config_version: of the configuration that its newest plan names; None: unknown.
    """

    gateway: str
    requests: int
    last_at: datetime
    config_version: int | None
    seconds: float


class RequestSum(NamedTuple):
    """Requests of the last hour, by one dimension: all, workspace, policy, task_type, rule or gateway.

    Attributes:
        name: None: those without a workspace, policy and so on.
        at_once, failed_over: answered by the first call, or by a further one.
        failed, blameless: not answered; blameless: by the caller's making, or refused by a content filter. The rest has no
            outcome yet.
        total_p50, total_p95, first_token_p50, first_token_p95: ms, of those that were answered: all calls of a request, and
            the first token of a stream.
        since: when the first of them began: later than an hour ago where there are more than those that are counted.
    """

    dimension: str
    name: str | None
    requests: int
    at_once: int
    failed_over: int
    failed: int
    blameless: int
    total_p50: float | None
    total_p95: float | None
    first_token_p50: float | None
    first_token_p95: float | None
    cost_nano_usd: int
    since: datetime | None


class AttemptSum(NamedTuple):
    """The calls of a target within the last hour. `failures`: those that speak of the model or its provider."""

    model: str
    provider: str
    calls: int
    successes: int
    failures: int
    last_at: datetime | None


class UsageSum(NamedTuple):
    """Use within the last 24 hours by one dimension: all, workspace, policy, task_type or model, from every router.

    Attributes:
        name: empty: those without a workspace, policy and so on.
        failures: calls; blameless ones are not in them.
    """

    dimension: str
    name: str
    requests: int
    calls: int
    successes: int
    failures: int
    blameless: int
    mean_ms: float | None
    cost_nano_usd: int


class Usage(NamedTuple):
    """Use within the last 24 hours. `until`: the sums have the records through then; None: not begun."""

    until: datetime | None
    escalations: int
    sums: tuple[UsageSum, ...]


class NewRequest(NamedTuple):
    """A request, with its last model.

    Attributes:
        success, failure: neither: no outcome yet.
        failed_check: a whole answer counts as a failure, because the gateway has checked it.
    """

    request_id: str
    at: datetime
    attempts: int
    model: str
    provider: str
    workspace: str | None
    policy: str | None
    task_type: str | None
    complexity: str
    success: bool
    failure: bool
    error_kind: str | None
    failed_check: bool
    total_ms: int | None
    first_token_ms: int | None
    cost_nano_usd: int | None
    gateway: str
    searched: int
    searched_since: datetime


class _Progress(NamedTuple):
    until: datetime | None
    escalations: int


_GATEWAYS = Query(__package__, "list_gateways", row=Gateway)
_SUM_REQUESTS = Query(__package__, "sum_requests", row=RequestSum)
_SUM_ATTEMPTS = Query(__package__, "sum_attempts", row=AttemptSum)
_SUM_USAGE = Query(__package__, "sum_usage", row=UsageSum)
_PROGRESS = Query(__package__, "read_usage_progress", row=_Progress)
_REQUESTS = Query(__package__, "list_requests", row=NewRequest)

_Connection = psycopg.Connection[Any]


def _read_hour(
    connection: _Connection,
    workspace: str | None = None,
    policy: str | None = None,
    task_type: str | None = None,
    model: str | None = None,
) -> tuple[RequestSum, ...]:
    given = {"workspace": workspace, "policy": policy, "task_type": task_type, "model": model}
    return tuple(_SUM_REQUESTS.all(connection, given))


def _read_day(
    connection: _Connection,
    workspace: str | None = None,
    policy: str | None = None,
    task_type: str | None = None,
    model: str | None = None,
) -> Usage:
    given = {"workspace": workspace, "policy": policy, "task_type": task_type, "model": model}
    progress = _PROGRESS.one(connection)
    return Usage(progress.until, progress.escalations, tuple(_SUM_USAGE.all(connection, given)))


def _search(
    connection: _Connection,
    most: int,
    model: str | None = None,
    policy: str | None = None,
    workspace: str | None = None,
    task_type: str | None = None,
    outcome: str | None = None,
    error_kind: str | None = None,
) -> tuple[NewRequest, ...]:
    given = {
        "most": most,
        "model": model,
        "policy": policy,
        "workspace": workspace,
        "task_type": task_type,
        "outcome": outcome,
        "error_kind": error_kind,
    }
    return tuple(_REQUESTS.all(connection, given))


#: Those with the most requests first.
GATEWAYS: Final = Source("gateways", Tier.QUARTER, lambda connection: tuple(_GATEWAYS.all(connection)))
#: By dimension, those with the most requests first.
HOUR: Final = Source("gateway_hour", Tier.MINUTE, _read_hour)
ATTEMPTS: Final = Source("gateway_attempts", Tier.MINUTE, lambda connection: tuple(_SUM_ATTEMPTS.all(connection)))
#: The newest 50.
REQUESTS: Final = Source("gateway_requests", Tier.QUARTER, lambda connection: _search(connection, _NEWEST_EVENTS))
#: As `HOUR`, of a workspace, policy, task type and model, each of which may be None: all.
FILTERED_HOUR: Final = Lookup("gateway_hour", _read_hour, keep_seconds=_HOUR_SECONDS)
#: Likewise for the last 24 hours.
DAY: Final = Lookup("gateway_day", _read_day, keep_seconds=_DAY_SECONDS)
#: The newest 50 among so many events, of a model, policy, workspace, task type, outcome and kind of error.
FOUND_REQUESTS: Final = Lookup("gateway_requests", _search, keep_seconds=_SEARCH_SECONDS)
