"""Reports about the models that a fleet, or this process, has called: performance, cost, budget, recommendations."""

import asyncio
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median
from typing import Self, TypedDict

from centralcloud.contracts.errors import quote
from centralcloud.runtime.settings import load_settings
from instance_agent.client.deferred_events import DATABASE_VARIABLES
from instance_agent.client.recommendations import Recommendation, budget_nearly_used
from instance_agent.client.usage_records import PROCESS_RECORDS, UsageRecords, UsageSum
from instance_agent.client.usage_sources import DailyBudget, ProcessUsage, UsageSource
from instance_agent.execution.cost import NANO
from instance_agent.settings import ClientSettings


class ModelPerformance(TypedDict):
    """The performance of one model.

    Attributes:
        provider: of its newest calls.
        requests: attempts at it, those that failed included.
        success_rate: successes by the attempts that say something about the model, 0 to 1; None: no attempt does.
        average_response_time: of its successes, in seconds; None without one. From a database also of the failures that say
            something about the model, as `instance-agent costs` has it.
        median_response_time: of its newest successes, in seconds; None without one, and from a database.
        p95_response_time: 95% of its newest successes took at most so many seconds; None without one, and from a database.
        tokens_per_second: of the output of its successes; None when it is not known.
        tokens: of prompts and answers.
        input_tokens: of prompts.
        output_tokens: of answers.
        cost: in USD, of the attempts whose cost is known.
        cost_nano_usd: the same, exact, in 1e-9 USD.
        errors: failures by kind: ``provider``, ``timeout``, ``policy``, ``caller``. From a database: ``failure`` for those
            that say something about the model, ``blameless`` for the others.
    """

    provider: str
    requests: int
    success_rate: float | None
    average_response_time: float | None
    median_response_time: float | None
    p95_response_time: float | None
    tokens_per_second: float | None
    tokens: int
    input_tokens: int
    output_tokens: int
    cost: float
    cost_nano_usd: int
    errors: dict[str, int]


class CostAnalysis(TypedDict):
    """The cost of the calls.

    Attributes:
        total_cost: in USD.
        total_cost_nano_usd: the same, exact, in 1e-9 USD.
        by_model: in USD, the dearest first.
        by_provider: likewise.
        by_task_type: likewise.
        by_day: in USD by the day in UTC (``2026-11-29``), the oldest first.
        total_tokens: of prompts and answers.
        local_share: share of the attempts at local models, 0 to 1; None without an attempt.
        escalated_requests: that went to another provider because local models had failed; from a database only those where
            they had failed in the same request.
        estimated_calls: whose tokens are estimated, upwards, because the provider reported none; None from a database.
        unknown_cost_calls: that may have cost something, and have no price; they are not in the sums.
        summed_until: through when the database has summed the events, about a minute ago; None in memory, and before the
            first sums.
    """

    total_cost: float
    total_cost_nano_usd: int
    by_model: dict[str, float]
    by_provider: dict[str, float]
    by_task_type: dict[str, float]
    by_day: dict[str, float]
    total_tokens: int
    local_share: float | None
    escalated_requests: int
    estimated_calls: int | None
    unknown_cost_calls: int
    summed_until: datetime | None


class RouterAnalytics:
    """Reports about the calls of a whole fleet, from its database; without one, about those of this process.

    With DATABASE_URL (or one of its other names) the numbers are the sums of all instances and gateways that
    `instance-agent costs` shows, of at most 400 days; the login needs the rights of ``centralcloud_gateway``. Without it
    they are those of `UnifiedModelClient` and its agents in memory, since the start of this process, of at most 62 days.
    Every report is computed when it is asked for. Each has a twin for coroutines, whose name ends in ``_async``.
    Thread-safe.

    Example:
        analytics = RouterAnalytics(daily_budget_usd=5.0)
        print(f"Total cost: ${analytics.get_cost_analysis()['total_cost']:.6f}")
    """

    def __init__(self, records: UsageRecords | None = None, *, daily_budget_usd: float | None = None) -> None:
        """Create the reports; connects to nothing.

        Args:
            records: report the calls of these clients, to which it was given, also where a database is set; None: as above.
            daily_budget_usd: for `get_daily_budget_remaining`; None: INSTANCE_AGENT_DAILY_BUDGET_USD, else the fleet's
                daily budget in the database, else no limit.

        Raises:
            SettingsError: a setting is wrong.
            ValueError: `daily_budget_usd` is negative or not a number.
        """
        if daily_budget_usd is not None and not daily_budget_usd >= 0:
            raise ValueError(f"daily_budget_usd: found {quote(daily_budget_usd)}, expected a number from 0 on")
        settings = load_settings(ClientSettings)
        self._source = _source(settings) if records is None else ProcessUsage(records)
        limit = settings.daily_budget_usd if daily_budget_usd is None else daily_budget_usd
        self._limit = None if limit is None else round(limit * NANO)

    @classmethod
    def of_process(cls, *, daily_budget_usd: float | None = None) -> Self:
        """Create reports about the calls of this process alone, also where a database is set.

        Args:
            daily_budget_usd: as for `RouterAnalytics`.
        """
        return cls(PROCESS_RECORDS, daily_budget_usd=daily_budget_usd)

    def get_model_performance_report(self, days: int | None = None) -> dict[str, ModelPerformance]:
        """Return the performance of each model that was called, by its name; the one with the most calls first.

        Args:
            days: of so many days in UTC, today included; None: all.

        Raises:
            CentralCloudError: the database cannot be read.
            ValueError: `days` is below 1.
        """
        usage = self._source.usage(days)
        models: dict[str, UsageSum] = defaultdict(UsageSum)
        providers: dict[str, str] = {}
        for key, found in usage.sums.items():
            models[key.model].add(found)
            providers[key.model] = key.provider
        ordered = sorted(models.items(), key=lambda each: -each[1].attempts)
        return {name: _performance(providers[name], found, usage.times.get(name, ())) for name, found in ordered}

    async def get_model_performance_report_async(self, days: int | None = None) -> dict[str, ModelPerformance]:
        """Do what `get_model_performance_report` does, without stopping the event loop.

        Args:
            days: as for `get_model_performance_report`.
        """
        return await asyncio.to_thread(self.get_model_performance_report, days)

    def get_cost_analysis(self, days: int | None = None) -> CostAnalysis:
        """Return the cost of all calls. Sums of whole nano-USD: exact, whatever their number.

        Args:
            days: of so many days in UTC, today included; None: all.

        Raises:
            CentralCloudError: the database cannot be read.
            ValueError: `days` is below 1.
        """
        usage = self._source.usage(days)
        sums = usage.sums
        total = UsageSum()
        for each in sums.values():
            total.add(each)
        local = sum(each.attempts for each in sums.values() if each.local)
        return {
            "total_cost": total.cost_nano_usd / NANO,
            "total_cost_nano_usd": total.cost_nano_usd,
            "by_model": _by_cost((key.model, each.cost_nano_usd) for key, each in sums.items()),
            "by_provider": _by_cost((key.provider, each.cost_nano_usd) for key, each in sums.items()),
            "by_task_type": _by_cost((key.task_type, each.cost_nano_usd) for key, each in sums.items()),
            "by_day": {day.isoformat(): nano / NANO for day, nano in sorted(usage.days.items())},
            "total_tokens": total.input_tokens + total.output_tokens,
            "local_share": local / total.attempts if total.attempts else None,
            "escalated_requests": usage.escalated,
            "estimated_calls": total.estimated if usage.counts_estimates else None,
            "unknown_cost_calls": total.unpriced,
            "summed_until": usage.summed_until,
        }

    async def get_cost_analysis_async(self, days: int | None = None) -> CostAnalysis:
        """Do what `get_cost_analysis` does, without stopping the event loop.

        Args:
            days: as for `get_cost_analysis`.
        """
        return await asyncio.to_thread(self.get_cost_analysis, days)

    def get_optimization_recommendations(self) -> list[Recommendation]:
        """Return recommendations that the calls so far support, each with its numbers; none without enough calls.

        From a database those of `instance-agent recommendations`, of the last 30 days.

        Raises:
            CentralCloudError: the database cannot be read.
        """
        own = [] if self._limit is None else budget_nearly_used(self._limit, self._source.spent_today())
        return [*own, *self._source.recommendations()]

    async def get_optimization_recommendations_async(self) -> list[Recommendation]:
        """Do what `get_optimization_recommendations` does, without stopping the event loop."""
        return await asyncio.to_thread(self.get_optimization_recommendations)

    def get_daily_budget_remaining(self) -> float | None:
        """Return the part of the day's budget that is left, in USD; 0.0 when it is used up, None without a budget.

        The day is one of UTC, except for the fleet's budget in the database, which has a time zone. A budget that is given
        here is reported, and stops no call: the gateway's budgets do.

        Raises:
            CentralCloudError: the database cannot be read.
        """
        budget = self._source.daily_budget() if self._limit is None else self._own_budget(self._limit)
        return None if budget is None else budget.remaining / NANO

    async def get_daily_budget_remaining_async(self) -> float | None:
        """Do what `get_daily_budget_remaining` does, without stopping the event loop."""
        return await asyncio.to_thread(self.get_daily_budget_remaining)

    def _own_budget(self, limit: int) -> DailyBudget:
        return DailyBudget(limit, max(0, limit - self._source.spent_today()))


def _source(settings: ClientSettings) -> UsageSource:
    if not any(os.environ.get(name) for name in DATABASE_VARIABLES):
        return ProcessUsage(PROCESS_RECORDS)
    from instance_agent.client.fleet_usage import FleetUsage

    return FleetUsage(settings)


def _performance(provider: str, found: UsageSum, newest: Sequence[int]) -> ModelPerformance:
    times = sorted(newest)
    return {
        "provider": provider,
        "requests": found.attempts,
        "success_rate": found.successes / found.judged if found.judged > 0 else None,
        "average_response_time": found.milliseconds / 1000 / found.timed if found.timed else None,
        "median_response_time": median(times) / 1000 if times else None,
        "p95_response_time": times[-(-len(times) * 95 // 100) - 1] / 1000 if times else None,
        "tokens_per_second": (
            1000 * found.success_tokens / found.generation_ms if found.generation_ms and found.success_tokens else None
        ),
        "tokens": found.input_tokens + found.output_tokens,
        "input_tokens": found.input_tokens,
        "output_tokens": found.output_tokens,
        "cost": found.cost_nano_usd / NANO,
        "cost_nano_usd": found.cost_nano_usd,
        "errors": dict(found.errors),
    }


def _by_cost(groups: Iterable[tuple[str, int]]) -> dict[str, float]:
    nano: dict[str, int] = defaultdict(int)
    for name, cost in groups:
        nano[name] += cost
    return {name: cost / NANO for name, cost in sorted(nano.items(), key=lambda each: -each[1])}
