"""Sums of use, which functions of the database make from roll-ups: records are read for the newest requests alone."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

import msgspec
import psycopg

from centralcloud.runtime.postgres.query import Query

Group = Literal["workspace", "key", "policy", "worker", "task", "model"]
GROUPS: Final[tuple[Group, ...]] = ("workspace", "key", "policy", "worker", "task", "model")
Period = Literal["daily", "weekly", "monthly"]
#: Rows that one report has at most.
MOST_ROWS: Final = 1000


class Scope(NamedTuple):
    """The part of the use that a report is about.

    Attributes:
        since, until: arrival of the records; whole quarter-hours.
        workspace, model: None: all of them.
    """

    since: datetime
    until: datetime
    workspace: str | None = None
    model: str | None = None


class Use(NamedTuple):
    """Sums of use in a period. A group that was not asked for is None; an empty text: the records have none.

    Attributes:
        requests: first attempts; `attempts`: all of them.
        failures: that speak of the model; the others are `blameless`.
        without_cost: successes whose cost is not known; not in `cost_nano_usd`.
        timed_tokens: output tokens that were generated in `generation_ms`.
        feedback_reward: sum; `feedback_count` rewards of 0 to 1.
        cost_nano_usd: exact, in 1e-9 USD.
    """

    period_start: datetime
    period_end: datetime
    workspace: str | None
    key_id: str | None
    policy: str | None
    worker: str | None
    task_type: str | None
    model: str | None
    provider: str | None
    requests: int
    attempts: int
    successes: int
    failures: int
    blameless: int
    without_cost: int
    response_time_count: int
    response_time_sum_ms: int
    input_tokens: int
    output_tokens: int
    timed_tokens: int
    generation_ms: int
    feedback_count: int
    feedback_successes: int
    feedback_reward: float
    cost_nano_usd: Decimal


class ModelUse(NamedTuple):
    """Sums of the use of a model for tasks of one complexity.

    Attributes:
        attempts: tasks that it got.
        failures: that speak of the model.
        without_cost: successes whose cost is not known; not in `cost_nano_usd`.
        cost_nano_usd: exact, in 1e-9 USD.
    """

    complexity: str
    model: str
    provider: str
    attempts: int
    successes: int
    failures: int
    without_cost: int
    response_time_count: int
    response_time_sum_ms: int
    cost_nano_usd: int

    @property
    def decisions(self) -> int:
        """The tasks that it got."""
        return self.attempts

    @property
    def priced(self) -> float | None:
        """The share of the outcomes, 0 to 1, whose cost is known, as that of the successes; None without one."""
        if not self.successes:
            return None
        return 1 - self.without_cost / self.successes


class Escalation(NamedTuple):
    """Attempts after a failed one; `reason`: the error kind of the attempt before."""

    reason: str
    from_model: str
    to_model: str
    requests: int


_READ_USAGE = Query(__package__, "read_usage", row=Use)
_READ_MODEL_USE = Query(__package__, "read_model_use", row=ModelUse)
_READ_ESCALATIONS = Query(__package__, "read_escalations", row=Escalation)
_READ_USAGE_UNTIL: Query[Any] = Query(__package__, "read_usage_until", row=datetime)
_READ_RECENT_REQUESTS = Query(__package__, "read_recent_requests", row=str)


def read_usage(
    connection: psycopg.Connection[Any],
    scope: Scope,
    groups: Sequence[Group] = (),
    *,
    period: Period | None = None,
    timezone: str = "UTC",
    most: int = MOST_ROWS,
) -> list[Use]:
    """Return sums by the groups, the newest period first and the dearest row first in each.

    Args:
        period: a row for each day, week (from Monday on) or month of the time zone; the first one is that of
            `scope.since`. None: one row for the whole time.
        most: rows; the rest is left out.
    """
    values = {**scope._asdict(), "groups": list(groups), "period": period, "timezone": timezone, "most": most}
    return _READ_USAGE.all(connection, values)


def read_model_use(connection: psycopg.Connection[Any], scope: Scope) -> list[ModelUse]:
    """Return sums by complexity and model; those of before the database knew the complexity are left out."""
    rows = _READ_MODEL_USE.all(connection, scope._asdict())
    return [each._replace(cost_nano_usd=int(each.cost_nano_usd)) for each in rows]


def read_escalations(connection: psycopg.Connection[Any], scope: Scope) -> list[Escalation]:
    """Return the attempts after a failed one, the most frequent ones first, at most 100."""
    return _READ_ESCALATIONS.all(connection, scope._asdict())


def read_usage_until(connection: psycopg.Connection[Any]) -> datetime | None:
    """Return through when the sums have the records; None: maintenance has not summed yet."""
    until: datetime | None = _READ_USAGE_UNTIL.one(connection)
    return until


def read_recent_requests(
    connection: psycopg.Connection[Any], most: int = 100, workspace: str | None = None
) -> list[dict[str, Any]]:
    """Return the newest requests of gateways, at most 1,000, in the JSON form of /api, with `costNanoUsd`."""
    texts = _READ_RECENT_REQUESTS.all(connection, {"most": most, "workspace": workspace})
    return [msgspec.json.decode(text, type=dict[str, Any]) for text in texts]
