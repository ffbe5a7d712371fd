"""The use of a whole fleet, from the sums in its database: what `RouterAnalytics` reports with DATABASE_URL.

Imports the database driver: `RouterAnalytics` imports it only where a database is set.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import Any, Final

import psycopg

from centralcloud.runtime.configuration.writing import read_whole, rights
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import DatabaseUnavailableError, refused_login, summarize_error
from instance_agent.analytics import reports
from instance_agent.analytics.time_range import LONGEST
from instance_agent.analytics.usage import Scope, Use, read_escalations, read_usage, read_usage_until
from instance_agent.catalog.source import CatalogSource
from instance_agent.client.recommendations import Recommendation, escalated_often
from instance_agent.client.usage_records import UsageKey, UsageSum
from instance_agent.client.usage_sources import DailyBudget, Usage, first_day
from instance_agent.settings import ClientSettings
from instance_agent.spend.exchange import read_spend

#: Rows by model and task type; ingest bounds the names of models, and maintenance the task types of each quarter-hour.
_MOST_GROUPS: Final = 100_000
#: As `instance-agent recommendations`.
_RECOMMENDED: Final = timedelta(days=30)
_LIMIT_SECONDS: Final = 30.0
_UNKNOWN: Final = "unknown"


class FleetUsage:
    """Reads the sums of the database, in a connection of its own for each report. Thread-safe, also after a fork."""

    def __init__(self, settings: ClientSettings) -> None:
        """Read the catalog, which says which providers are local; connects to nothing.

        Raises:
            SettingsError: the catalog or the name of the database is wrong.
        """
        self._url = settings.database
        providers = CatalogSource(settings.catalog, any_provider=True).build().providers
        self._local = frozenset(each.name for each in providers.values() if each.local)

    def usage(self, days: int | None) -> Usage:
        """Return the numbers of so many days in UTC, today included; None: of all that are kept.

        Raises:
            CentralCloudError: the database does not answer, or the login may not read the sums.
        """
        scope = self._scope(LONGEST.days if days is None else days)
        with self._opened() as database, database.transaction(limit_seconds=_LIMIT_SECONDS) as connection:
            uses = read_usage(connection, scope, ["task", "model"], most=_MOST_GROUPS)
            by_day = read_usage(connection, scope, period="daily")
            escalated = self._escalated(connection, scope, uses)
            until = read_usage_until(connection)
        sums: dict[UsageKey, UsageSum] = defaultdict(UsageSum)
        for use in uses:
            key = UsageKey(date.min, use.model or _UNKNOWN, use.provider or _UNKNOWN, use.task_type or _UNKNOWN)
            sums[key].add(_sum_of(use, local=use.provider in self._local))
        costs = {use.period_start.astimezone(UTC).date(): int(use.cost_nano_usd) for use in by_day}
        return Usage(sums, costs, escalated, {}, False, None if until is None else until.astimezone(UTC))

    def today(self) -> date:
        """Return the current day in UTC."""
        return datetime.now(UTC).date()

    def spent_today(self) -> int:
        """Return the cost of the current day in UTC, in nano-USD; raises as `usage`."""
        with self._opened() as database, database.transaction(limit_seconds=_LIMIT_SECONDS) as connection:
            return sum(int(each.cost_nano_usd) for each in read_usage(connection, self._scope(1)))

    def daily_budget(self) -> DailyBudget | None:
        """Return the daily budget of the fleet, which gateways keep to; None: it has none. Raises as `usage`."""
        with self._opened() as database:
            budgets = read_whole(database).configuration.budgets.values()
            meters = [
                f"budget/{each.id}"
                for each in budgets
                if each.enabled and (each.scope, each.period) == ("fleet", "daily")
            ]
            with database.transaction(limit_seconds=_LIMIT_SECONDS) as connection:
                spends = read_spend(connection, meters)
        return min(
            (DailyBudget(each.limit_amount, each.remaining) for each in spends if each.unit == "nano_usd"),
            key=lambda each: each.remaining,
            default=None,
        )

    def recommendations(self) -> list[Recommendation]:
        """Return those of `instance-agent recommendations`, and one on local models that fail. Raises as `usage`."""
        now = datetime.now(UTC)
        scope = reports.scope_of(_RECOMMENDED, now)
        with self._opened() as database:
            meters = sorted(f"budget/{each}" for each in read_whole(database).configuration.budgets)
            with database.transaction(limit_seconds=_LIMIT_SECONDS) as connection:
                found = reports.recommendation_report(connection, scope, meters, now)["recommendations"]
                uses = read_usage(connection, scope, ["model"], most=_MOST_GROUPS)
                escalated = self._escalated(connection, scope, uses)
        requests = sum(each.requests for each in uses)
        return [*map(_recommendation, found), *escalated_often(escalated, requests)]

    def _scope(self, days: int) -> Scope:
        """Return the days in UTC of which today is the last: whole ones, as far as sums are kept."""
        first = first_day(self.today(), min(days, LONGEST.days))
        return reports.scope_of(timedelta(), datetime.now(UTC))._replace(
            since=datetime.combine(first, time_of_day(), UTC)
        )

    def _escalated(self, connection: psycopg.Connection[Any], scope: Scope, uses: list[Use]) -> int:
        """Return the attempts at a paid provider after a failed one at a local model, in the same request."""
        providers: dict[str, set[str]] = defaultdict(set)
        for use in uses:
            providers[use.model or _UNKNOWN].add(use.provider or _UNKNOWN)
        local = {name for name, those in providers.items() if those <= self._local}
        found = read_escalations(connection, scope)
        return sum(each.requests for each in found if each.from_model in local and each.to_model not in local)

    @contextmanager
    def _opened(self) -> Iterator[Database]:
        """Open the database for one report; its errors become one line."""
        name = "instance-agent/analytics"
        try:
            with (
                rights("read the sums of use", "centralcloud_gateway"),
                Database(self._url, application_name=name, max_connections=1) as database,
            ):
                database.connect().close()  # a login that is refused fails here at once, and not after some tries
                yield database
        except psycopg.Error as error:
            refused = refused_login(error)
            reason = f"the sums of use cannot be read from the database: {summarize_error(error)}"
            raise refused or DatabaseUnavailableError(reason) from None


def _sum_of(use: Use, *, local: bool) -> UsageSum:
    return UsageSum(
        attempts=use.attempts,
        successes=use.successes,
        blameless=use.blameless,
        pending=use.attempts - use.successes - use.failures - use.blameless,
        input_tokens=use.input_tokens,
        output_tokens=use.output_tokens,
        cost_nano_usd=int(use.cost_nano_usd),
        unpriced=use.without_cost,
        timed=use.response_time_count,
        milliseconds=use.response_time_sum_ms,
        success_tokens=use.timed_tokens,
        generation_ms=use.generation_ms,
        local=local,
        errors=+Counter(failure=use.failures, blameless=use.blameless),
    )


def _recommendation(found: Mapping[str, Any]) -> Recommendation:
    others = {name: value for name, value in found.items() if name not in ("kind", "text", "numbers")}
    return {"kind": found["kind"], "message": found["text"], "numbers": {**others, **found["numbers"]}}
