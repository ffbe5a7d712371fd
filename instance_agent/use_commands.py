"""`instance-agent costs`, `spend` and `recommendations`: use, cost and budgets as the database has them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any, Final

import typer

from centralcloud.contracts import SettingsError
from centralcloud.contracts.errors import ContractError
from centralcloud.contracts.fleet_configuration import Budget
from centralcloud.contracts.fleet_configuration.condition import check_timezone
from centralcloud.runtime.configuration.writing import read_whole, rights
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.terminal.output import AsJson, print_json, print_rows, print_text
from centralcloud.runtime.wording import ago, percent
from instance_agent.analytics import reports
from instance_agent.analytics.time_range import parse_time_range
from instance_agent.analytics.usage import GROUPS, Group, Scope
from instance_agent.configuration_session import open_configuration

_COLUMNS: Final[dict[Group, str]] = {
    "workspace": "workspaceId", "key": "keyId", "policy": "policy", "worker": "worker", "task": "taskType",
    "model": "modelId",
}  # fmt: skip
_TimeRange = Annotated[str, typer.Option(help="The last minutes, hours, days or weeks: 90m, 24h, 30d, 4w.")]
_Workspace = Annotated[str | None, typer.Option(help="Only of this workspace.")]


def costs(
    period: Annotated[str, typer.Option(help="day, week (from Monday on) or month.")] = "day",
    by: Annotated[str, typer.Option(help=f"Groups with commas: {', '.join(GROUPS)}.")] = "model",
    timezone: Annotated[str, typer.Option(help="An IANA name; its midnight begins a period.")] = "UTC",
    time_range: _TimeRange = "30d",
    workspace: _Workspace = None,
    json_output: AsJson = False,
) -> None:
    """Show costs by day, week or month, the newest one first.

    From sums that the daemon makes about every minute.
    """
    if period not in reports.PERIODS:
        raise SettingsError(f"--period: found {period!r}, expected one of {', '.join(reports.PERIODS)}")
    groups = _groups(by)
    scope = _scope(time_range, workspace)
    try:
        zone = check_timezone(timezone, "--timezone")
    except ContractError as error:
        raise SettingsError(str(error)) from None
    with open_configuration("costs") as database, _right("read use and costs"), database.transaction() as connection:
        found = reports.cost_report(connection, scope, groups, period=period, timezone=timezone)
    if json_output:
        print_json(found)
        return
    columns: dict[str, Callable[[Any], Any] | None] = {
        period: None,
        **dict.fromkeys([_COLUMNS[group] for group in groups]),
        "requests": None,
        "success": percent,
        "tokens": None,
        "usd": None,
        "without_cost": None,
    }
    rows = [
        {
            **each,
            **{_COLUMNS[group]: each[_COLUMNS[group]] or None for group in groups},
            period: f"{each['periodStart'].astimezone(zone):%Y-%m-%d}",
            "success": each["successRate"],
            "tokens": each["totalTokens"],
            "usd": _usd(each["costNanoUsd"]),
            "without_cost": each["withoutCost"],
        }
        for each in found["costs"]
    ]
    print_rows(rows, columns, empty=f"no use in this time{_unsummed(found)}")
    if found["truncated"]:
        print_text(f"There are more than {len(rows):,} rows: a shorter --time-range or fewer groups show all of them.")
    if rows:
        print_text(f"in all {_usd(found['total']['costNanoUsd'])} USD")
    _print_as_of(found, zone)


def spend(
    workspace: _Workspace = None,
    json_output: AsJson = False,
) -> None:
    """Show what is spent and left of each budget now, in USD.

    As gateways report it, about once a second.
    """
    with open_configuration("spend") as database:
        budgets = _budgets(database, workspace)
        with _right("read spend"), database.transaction() as connection:
            found = reports.budget_report(connection, budgets)
    if json_output:
        print_json(found)
        return
    rows = [
        {
            "budget": each["budgetId"],
            "limit": f"{each['limit']:.6f}",
            "spent": _usd(each["spentNanoUsd"]),
            "left": _usd(each["leftNanoUsd"]),
            "used": 1 - each["left"] / each["limit"] if each["limit"] else 1.0,
            "until": f"{each['periodEnd']:%Y-%m-%d %H:%M}",
            "alerted": each["alertedAt"] is not None,
        }
        for each in found["budgets"]
    ]
    columns: dict[str, Callable[[Any], Any] | None] = {
        **dict.fromkeys(("budget", "limit", "spent", "left")), "used": percent, "until": None, "alerted": None,
    }  # fmt: skip
    print_rows(rows, columns, empty="no budgets with a period: `instance-agent budgets set FILE` adds them")
    if rows:
        print_text("Times are in UTC.")


def recommendations(
    time_range: _TimeRange = "30d",
    workspace: _Workspace = None,
    json_output: AsJson = False,
) -> None:
    """Recommend models, and warn of budgets that end early, each with the numbers that it is computed from.

    Models are compared at tasks of one complexity, as `centralcloud report` compares them.
    """
    scope = _scope(time_range, workspace)
    with open_configuration("recommendations") as database:
        meters = sorted(f"budget/{each.id}" for each in _budgets(database, workspace))
        with _right("read use and costs"), database.transaction() as connection:
            found = reports.recommendation_report(connection, scope, meters, datetime.now(UTC))
    if json_output:
        print_json(found)
        return
    empty = f"nothing to recommend{_unsummed(found)}"
    print_rows(found["recommendations"], dict.fromkeys(("kind", "text")), empty=empty, texts=("text",))
    _print_as_of(found, UTC)


def _budgets(database: Database, workspace: str | None) -> list[Budget]:
    return [
        each
        for each in read_whole(database).configuration.budgets.values()
        if workspace is None or (each.scope == "workspace" and each.of == workspace)
    ]


def _right(action: str) -> AbstractContextManager[None]:
    return rights(action, "centralcloud_gateway")


def _scope(time_range: str, workspace: str | None) -> Scope:
    try:
        length = parse_time_range(time_range, "--time-range")
    except ContractError as error:
        raise SettingsError(str(error)) from None
    return reports.scope_of(length, datetime.now(UTC), workspace=workspace)


def _unsummed(found: dict[str, Any]) -> str:
    """Return why there is nothing where no daemon has made a sum yet."""
    return "" if found["summedUntil"] else ": there are no sums yet, which the daemon (`centralcloud run`) makes"


def _print_as_of(found: dict[str, Any], zone: tzinfo) -> None:
    """Print through when the sums have the calls: the daemon makes them about every minute, and not while it is stopped."""
    if found["summedUntil"]:
        until = found["summedUntil"].astimezone(zone)
        since = ago((datetime.now(UTC) - until).total_seconds())
        print_text(f"As of {until:%Y-%m-%d %H:%M:%S %Z}, {since}; later calls are not summed yet.")


def _groups(text: str) -> list[Group]:
    found: list[Group] = []
    for name in dict.fromkeys(each.strip() for each in text.split(",")):
        group = next((each for each in GROUPS if each == name), None)
        if group is None:
            raise SettingsError(f"--by: found {name!r}, expected some of {', '.join(GROUPS)}, with commas")
        found.append(group)
    return found


def _usd(nano: int) -> str:
    return f"{nano // 10**9}.{nano % 10**9:09d}"
