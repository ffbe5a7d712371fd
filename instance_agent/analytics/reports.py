"""Reports on use, cost and performance as plain functions on a connection: those behind /api/analytics and /api/routing.

Each returns objects for JSON, with times as `datetime`. Costs are in USD (`cost`) and exact in nano-USD (`costNanoUsd`).
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg

from centralcloud.contracts.fleet_configuration import Budget
from centralcloud.contracts.limits import NANO_USD_PER_USD
from instance_agent.analytics.recommendations import recommend_budgets, recommend_models
from instance_agent.analytics.time_range import window_of
from instance_agent.analytics.usage import (
    MOST_ROWS,
    Group,
    Period,
    Scope,
    Use,
    read_escalations,
    read_model_use,
    read_recent_requests,
    read_usage,
    read_usage_until,
)
from instance_agent.spend.exchange import MeterSpend, read_spend

_Connection = psycopg.Connection[Any]
#: The names of groups in JSON, and the columns that they have.
_NAMES: Final = {
    "workspaceId": "workspace",
    "keyId": "key_id",
    "policy": "policy",
    "worker": "worker",
    "taskType": "task_type",
    "modelId": "model",
    "provider": "provider",
}
_PERIODS: Final[dict[str, Period]] = {"day": "daily", "week": "weekly", "month": "monthly"}
PERIODS: Final = tuple(_PERIODS)
#: Rows of each list of a report on a workspace.
_MOST_OF_WORKSPACE: Final = 100


def model_report(connection: _Connection, scope: Scope) -> dict[str, Any]:
    """Return the use and the performance of each model, and the escalations from one to another."""
    uses = read_usage(connection, scope, ["model"], most=MOST_ROWS + 1)
    return {
        **_head(connection, scope),
        "models": [use_of(each) for each in uses[:MOST_ROWS]],
        "escalations": _escalations(connection, scope),
        **_count(uses, MOST_ROWS),
    }


def workspace_report(connection: _Connection, scope: Scope) -> dict[str, Any]:
    """Return the use of the workspace of `scope`: in all, and by model, key, policy, worker and task."""
    lists: dict[str, Group] = {
        "models": "model", "keys": "key", "policies": "policy", "workers": "worker", "tasks": "task",
    }  # fmt: skip
    return {
        **_head(connection, scope),
        "workspaceId": scope.workspace,
        "total": _total(connection, scope),
        **{
            name: [use_of(each) for each in read_usage(connection, scope, [group], most=_MOST_OF_WORKSPACE)]
            for name, group in lists.items()
        },
        "escalations": _escalations(connection, scope),
    }


def cost_report(
    connection: _Connection,
    scope: Scope,
    groups: Sequence[Group],
    *,
    period: str = "day",
    timezone: str = "UTC",
) -> dict[str, Any]:
    """Return costs by the groups for each day, week (from Monday on) or month of a time zone, the newest one first.

    The first period begins before `scope.since`: it is a whole one, as far as sums are kept.
    `total` is the sum of all periods, also of rows beyond the bound.
    """
    known = _PERIODS[period]
    uses = read_usage(connection, scope, groups, period=known, timezone=timezone, most=MOST_ROWS + 1)
    periods = read_usage(connection, scope, period=known, timezone=timezone, most=MOST_ROWS)
    return {
        **_head(connection, scope),
        "period": period,
        "timezone": timezone,
        "by": list(groups),
        "costs": [_in_period(each) for each in uses[:MOST_ROWS]],
        "periods": [_in_period(each) for each in periods],
        "total": _cost(sum(int(each.cost_nano_usd) for each in periods)),
        **_count(uses, MOST_ROWS),
    }


def performance_report(connection: _Connection, scope: Scope, groups: Sequence[Group] = ("model",)) -> dict[str, Any]:
    """Return success, latency, tokens, errors and satisfaction by the groups, with the escalations by reason."""
    uses = read_usage(connection, scope, groups, most=MOST_ROWS + 1)
    escalations = _escalations(connection, scope)
    reasons: dict[str, int] = {}
    for each in escalations:
        reasons[each["reason"]] = reasons.get(each["reason"], 0) + each["requests"]
    return {
        **_head(connection, scope),
        "by": list(groups),
        "total": _total(connection, scope),
        "performance": [use_of(each) for each in uses[:MOST_ROWS]],
        "escalationsByReason": reasons,
        "escalations": escalations,
        **_count(uses, MOST_ROWS),
    }


def recommendation_report(
    connection: _Connection, scope: Scope, meters: Sequence[str], now: datetime
) -> dict[str, Any]:
    """Return recommendations on models, from the use of `scope`, and on the budgets of `meters`, each with its numbers."""
    uses = read_model_use(connection, scope)
    budgets = recommend_budgets(read_spend(connection, meters), now) if meters else []
    found = [*budgets, *recommend_models(uses)]
    return {**_head(connection, scope), "recommendations": found, "count": len(found)}


def budget_report(connection: _Connection, budgets: Iterable[Budget]) -> dict[str, Any]:
    """Return what is spent and left of budgets in the period of now, as gateways have reported it.

    A limit of each task has no period, and a budget that is not enabled has no limit: they are left out.
    """
    by_meter = {f"budget/{each.id}": each for each in budgets}
    found = read_spend(connection, sorted(by_meter))
    return {"budgets": [_in_use(by_meter[each.meter], each) for each in found], "count": len(found)}


def request_report(connection: _Connection, most: int, workspace: str | None = None) -> dict[str, Any]:
    """Return the newest requests of gateways, the newest one first."""
    requests = read_recent_requests(connection, most, workspace)
    for each in requests:
        if (nano := each.get("costNanoUsd")) is not None:
            each["cost"] = nano / NANO_USD_PER_USD
    return {"requests": requests, "count": len(requests), "limit": most}


def scope_of(length: timedelta, now: datetime, *, workspace: str | None = None, model: str | None = None) -> Scope:
    """Return the last `length` up to now, in whole quarter-hours."""
    since, until = window_of(length, now)
    return Scope(since, until, workspace, model)


def use_of(use: Use) -> dict[str, Any]:
    """Return sums in the JSON form of /api; rates and means are null without anything to divide by."""
    resolved = use.successes + use.failures
    return {
        **{name: value for name, column in _NAMES.items() if (value := getattr(use, column)) is not None},
        "requests": use.requests,
        "attempts": use.attempts,
        "successes": use.successes,
        "failures": use.failures,
        "blameless": use.blameless,
        "successRate": _ratio(use.successes, resolved, 6),
        "averageLatency": _ratio(use.response_time_sum_ms, use.response_time_count, 1),
        "promptTokens": use.input_tokens,
        "completionTokens": use.output_tokens,
        "totalTokens": use.input_tokens + use.output_tokens,
        "tokensPerSecond": _ratio(1000 * use.timed_tokens, use.generation_ms, 2),
        **_cost(int(use.cost_nano_usd)),
        "withoutCost": use.without_cost,
        "feedback": {
            "count": use.feedback_count,
            "successes": use.feedback_successes,
            "satisfaction": _ratio(use.feedback_reward, use.feedback_count, 4),
        },
    }


def _in_use(budget: Budget, spend: MeterSpend) -> dict[str, Any]:
    return {
        "budgetId": budget.id,
        "scope": budget.scope,
        **({} if budget.of is None else {"of": budget.of}),
        "period": budget.period,
        "limit": spend.limit_amount / NANO_USD_PER_USD,
        "spent": spend.spent / NANO_USD_PER_USD,
        "spentNanoUsd": spend.spent,
        "estimated": spend.estimated / NANO_USD_PER_USD,
        "lost": spend.written_off / NANO_USD_PER_USD,
        "left": spend.remaining / NANO_USD_PER_USD,
        "leftNanoUsd": spend.remaining,
        "held": spend.leased / NANO_USD_PER_USD,
        "periodStart": _utc(spend.period_start),
        "periodEnd": _utc(spend.period_end),
        "alertedAt": None if spend.alerted_at is None else _utc(spend.alerted_at),
    }


def _in_period(use: Use) -> dict[str, Any]:
    return {"periodStart": _utc(use.period_start), "periodEnd": _utc(use.period_end), **use_of(use)}


def _head(connection: _Connection, scope: Scope) -> dict[str, Any]:
    summed = read_usage_until(connection)
    return {"since": scope.since, "until": scope.until, "summedUntil": None if summed is None else _utc(summed)}


def _total(connection: _Connection, scope: Scope) -> dict[str, Any]:
    uses = read_usage(connection, scope)
    return use_of(uses[0]) if uses else use_of(_nothing(scope))


def _nothing(scope: Scope) -> Use:
    values = [0] * (len(Use._fields) - 9)
    return Use(scope.since, scope.until, *[None] * 7, *values)  # type: ignore[arg-type]


def _escalations(connection: _Connection, scope: Scope) -> list[dict[str, Any]]:
    return [
        {"reason": each.reason, "fromModelId": each.from_model, "toModelId": each.to_model, "requests": each.requests}
        for each in read_escalations(connection, scope)
    ]


def _count(rows: Sequence[Any], most: int) -> dict[str, Any]:
    return {"count": min(len(rows), most), "truncated": len(rows) > most}


def _cost(nano: int) -> dict[str, Any]:
    return {"cost": nano / NANO_USD_PER_USD, "costNanoUsd": nano}


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _ratio(part: float, whole: float, digits: int) -> float | None:
    return round(part / whole, digits) if whole else None
