"""Use, cost and performance: /api/metrics/requests, /api/analytics/..., /api/routing/costs and /api/routing/performance.

A gateway may read no table: functions of the database sum roll-ups. A key of a workspace sees its own workspace alone.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

import psycopg
from aiohttp import web

from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration.condition import check_timezone
from centralcloud.contracts.limits import MAX_NAME_LENGTH
from centralcloud.runtime.postgres.database import Database
from instance_agent.analytics import reports
from instance_agent.analytics.time_range import parse_time_range
from instance_agent.analytics.usage import GROUPS, Group, Scope, read_usage
from instance_agent.gateway.api.configuration.budgets import is_of_workspace
from instance_agent.gateway.api.configuration.entry_api import own_workspace, readable
from instance_agent.gateway.api.configuration.entry_changes import not_found
from instance_agent.gateway.api.configuration_writer import parts_of
from instance_agent.gateway.api.database_work import LIMIT_SECONDS, DatabaseWork
from instance_agent.gateway.api.requests import api_handler, filters, json_answer
from instance_agent.gateway.errors import InvalidFieldError

_MOST_REQUESTS: Final = 1000
_DEFAULT_REQUESTS: Final = 100
_LONGEST_WORKSPACE: Final = 200

_Report = Callable[[psycopg.Connection[Any]], dict[str, Any]]


class AnalyticsApi:
    """The handlers of analytics."""

    def __init__(self, work: DatabaseWork) -> None:
        self._work = work

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/metrics/requests", api_handler(self._requests)),
            web.get("/api/analytics/models", api_handler(self._models)),
            web.get("/api/analytics/workspaces/{workspaceId}", api_handler(self._workspace)),
            web.get("/api/analytics/recommendations", api_handler(self._recommendations)),
            web.get("/api/analytics/budgets", api_handler(self._budgets)),
            web.get("/api/routing/costs", api_handler(self._costs)),
            web.get("/api/routing/performance", api_handler(self._performance)),
        ]

    async def _requests(self, request: web.Request) -> web.Response:
        readable(request)
        most = _whole(_only(request, "limit").get("limit"), "limit", _DEFAULT_REQUESTS, _MOST_REQUESTS)
        own = own_workspace(request)
        return await self._report(lambda connection: reports.request_report(connection, most, own))

    async def _models(self, request: web.Request) -> web.Response:
        readable(request)
        asked = _only(request, "timeRange", "modelId")
        scope = _scope(request, asked, "24h")
        known = _names(request, scope)
        return await self._report(lambda connection: reports.model_report(connection, known(connection)))

    async def _workspace(self, request: web.Request) -> web.Response:
        fleet, workspace = readable(request), request.match_info["workspaceId"]
        own = own_workspace(request)
        known = own or workspace in fleet.workspaces or any(key.workspace == workspace for key in fleet.keys.values())
        if not 1 <= len(workspace) <= _LONGEST_WORKSPACE or own not in (None, workspace):
            raise not_found("workspace", workspace)
        scope = _scope(request, _only(request, "timeRange"), "7d")._replace(workspace=workspace)

        def report(connection: psycopg.Connection[Any]) -> dict[str, Any]:
            made = reports.workspace_report(connection, scope)
            # A workspace that was removed may still have use.
            if not known and not made["models"]:
                raise not_found("workspace", workspace)
            return made

        return await self._report(report)

    async def _recommendations(self, request: web.Request) -> web.Response:
        fleet, own = readable(request), own_workspace(request)
        scope = _scope(request, _only(request, "timeRange"), "30d")
        meters = [f"budget/{each.id}" for each in fleet.budgets.values() if is_of_workspace(fleet, each, own)]
        now = datetime.now(UTC)
        return await self._report(
            lambda connection: reports.recommendation_report(connection, scope, sorted(meters), now)
        )

    async def _budgets(self, request: web.Request) -> web.Response:
        fleet, own = readable(request), own_workspace(request)
        _only(request)
        budgets = [each for each in fleet.budgets.values() if is_of_workspace(fleet, each, own)]
        return await self._report(lambda connection: reports.budget_report(connection, budgets))

    async def _costs(self, request: web.Request) -> web.Response:
        readable(request)
        asked = _only(request, "period", "by", "timezone", "timeRange", "modelId")
        period = asked.get("period", "day")
        if period not in reports.PERIODS:
            raise _invalid("period", period, f"one of {', '.join(reports.PERIODS)}")
        timezone = asked.get("timezone", "UTC")
        check_timezone(timezone, "timezone")
        groups = _groups(asked.get("by", "model"))
        scope = _scope(request, asked, "30d")
        known = _names(request, scope)
        return await self._report(
            lambda connection: reports.cost_report(
                connection, known(connection), groups, period=period, timezone=timezone
            )
        )

    async def _performance(self, request: web.Request) -> web.Response:
        readable(request)
        asked = _only(request, "timeRange", "modelId", "by")
        scope, groups = _scope(request, asked, "24h"), _groups(asked.get("by", "model"))
        policies, known = _standings(request), _names(request, scope)

        def report(connection: psycopg.Connection[Any]) -> dict[str, Any]:
            scope = known(connection)
            shown = [each for each in policies if scope.model is None or scope.model in each["order"]]
            return {**reports.performance_report(connection, scope, groups), "policies": shown}

        return await self._report(report)

    async def _report(self, report: _Report) -> web.Response:
        def work(database: Database) -> dict[str, Any]:
            with database.transaction(limit_seconds=LIMIT_SECONDS) as connection:
                return report(connection)

        return json_answer(await self._work.run(work))


def _standings(request: web.Request) -> list[dict[str, Any]]:
    """Return the policies in which learned scores have moved models, as this replica routes now."""
    state = parts_of(request).state
    return [
        {
            "policy": each.policy,
            "complexity": each.level,
            "order": list(each.order),
            "demoted": [{"modelId": one.model, "code": one.code, "reason": one.words} for one in each.demoted],
            "promoted": [{"modelId": one.model, "reason": one.words} for one in each.promoted],
            "scoredAt": each.scored_at.astimezone(UTC),
        }
        for each in state.rules.standings(state.catalog.learned)
    ]


def _only(request: web.Request, *known: str) -> dict[str, str]:
    """Return the query parameters, each once; raise InvalidFieldError for another one."""
    found = {}
    for name, values in filters(request, known).items():
        if len(values) > 1:
            raise _invalid(name, values[1], "it once")
        found[name] = values[0]
    return found


def _scope(request: web.Request, asked: dict[str, str], default: str) -> Scope:
    """Return what the report is about: a key of a workspace gets no other one."""
    model = asked.get("modelId")
    if model is not None and not 1 <= len(model) <= MAX_NAME_LENGTH:
        raise _invalid("modelId", model, f"a text of 1 to {MAX_NAME_LENGTH} characters")
    length = parse_time_range(asked.get("timeRange", default))
    return reports.scope_of(length, datetime.now(UTC), workspace=own_workspace(request), model=model)


def _names(request: web.Request, scope: Scope) -> Callable[[psycopg.Connection[Any]], Scope]:
    """Return what to read the sums of: those of the model, or, where it has none, of the one that its alias stands for."""
    configuration = parts_of(request).state.catalog.configuration
    if scope.model is None or configuration is None or (final := configuration.resolve(scope.model)[0]) == scope.model:
        return lambda _: scope
    return lambda connection: scope if read_usage(connection, scope, most=1) else scope._replace(model=final)


def _groups(text: str) -> Sequence[Group]:
    names = [each.strip() for each in text.split(",")]
    for name in names:
        if name not in GROUPS:
            raise _invalid("by", name, f"some of {', '.join(GROUPS)}, with commas")
    return cast("Sequence[Group]", list(dict.fromkeys(names)))


def _whole(text: str | None, name: str, default: int, most: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise _invalid(name, text, f"a whole number from 1 to {most:,}")
    return int(text)


def _invalid(name: str, found: str, expected: str) -> InvalidFieldError:
    return InvalidFieldError(name, f"{name}: found {quote(found)}, expected {expected}")
