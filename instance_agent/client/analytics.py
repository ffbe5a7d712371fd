"""Reports about the models that this process has called: performance, cost, the day's budget, recommendations."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from statistics import median
from typing import Any, TypedDict

from centralcloud.contracts.errors import quote
from centralcloud.runtime.settings import load_settings
from instance_agent.client.recommendations import Recommendation, recommend
from instance_agent.client.usage_records import PROCESS_RECORDS, UsageKey, UsageSource, UsageSum
from instance_agent.execution.cost import NANO
from instance_agent.settings import ClientSettings


class ModelPerformance(TypedDict):
    """The performance of one model.

    Attributes:
        provider: of its newest calls.
        requests: attempts at it, those that failed included.
        success_rate: successes by the attempts that say something about the model, 0 to 1; None: no attempt does.
        average_response_time: of its successes, in seconds; None without one.
        median_response_time: of its newest successes, in seconds; None without one.
        p95_response_time: 95% of its newest successes took at most so many seconds; None without one.
        tokens_per_second: of the output of its successes; None when it is not known.
        tokens: of prompts and answers.
        input_tokens: of prompts.
        output_tokens: of answers.
        cost: in USD, of the attempts whose cost is known.
        cost_nano_usd: the same, exact, in 1e-9 USD.
        errors: failures by kind: ``provider``, ``timeout``, ``policy``, ``caller``.
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
        escalated_requests: that another provider answered because local models had failed.
        estimated_calls: whose tokens are estimated, upwards, because the provider reported none.
        unknown_cost_calls: that may have cost something, and have no price; they are not in the sums.
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
    estimated_calls: int
    unknown_cost_calls: int


class RouterAnalytics:
    """Reports about the calls of `UnifiedModelClient` and its agents, in memory, since the start of this process.

    Every report is computed when it is asked for. Days longer ago than 62 are forgotten. Thread-safe.

    Example:
        analytics = RouterAnalytics(daily_budget_usd=5.0)
        print(f"Total cost: ${analytics.get_cost_analysis()['total_cost']:.6f}")
    """

    def __init__(self, records: UsageSource | None = None, *, daily_budget_usd: float | None = None) -> None:
        """Create the reports.

        Args:
            records: sums of calls, such as those that a client was given; None: those of the process.
            daily_budget_usd: for `get_daily_budget_remaining`; None: INSTANCE_AGENT_DAILY_BUDGET_USD, else no limit.

        Raises:
            SettingsError: a setting is wrong.
            ValueError: `daily_budget_usd` is negative or not a number.
        """
        if daily_budget_usd is not None and not daily_budget_usd >= 0:
            raise ValueError(f"daily_budget_usd: found {quote(daily_budget_usd)}, expected a number from 0 on")
        self._source = PROCESS_RECORDS if records is None else records
        limit = load_settings(ClientSettings).daily_budget_usd if daily_budget_usd is None else daily_budget_usd
        self._limit = None if limit is None else round(limit * NANO)

    def get_model_performance_report(self, days: int | None = None) -> dict[str, ModelPerformance]:
        """Return the performance of each model that was called, by its name; the one with the most calls first.

        Args:
            days: of so many days in UTC, today included; None: all.
        """
        models: dict[str, UsageSum] = defaultdict(UsageSum)
        providers: dict[str, str] = {}
        for key, found in self._sums(days).items():
            models[key.model].add(found)
            providers[key.model] = key.provider
        ordered = sorted(models.items(), key=lambda each: -each[1].attempts)
        return {name: self._performance(name, providers[name], found) for name, found in ordered}

    def get_cost_analysis(self, days: int | None = None) -> CostAnalysis:
        """Return the cost of all calls. Sums of whole nano-USD: exact, whatever their number.

        Args:
            days: of so many days in UTC, today included; None: all.
        """
        sums = self._sums(days)
        total = UsageSum()
        for each in sums.values():
            total.add(each)
        local = sum(each.attempts for each in sums.values() if each.local)
        return {
            "total_cost": total.cost_nano_usd / NANO,
            "total_cost_nano_usd": total.cost_nano_usd,
            "by_model": _by_cost((key.model, each) for key, each in sums.items()),
            "by_provider": _by_cost((key.provider, each) for key, each in sums.items()),
            "by_task_type": _by_cost((key.task_type, each) for key, each in sums.items()),
            "by_day": dict(sorted(_by_cost((key.day.isoformat(), each) for key, each in sums.items()).items())),
            "total_tokens": total.input_tokens + total.output_tokens,
            "local_share": local / total.attempts if total.attempts else None,
            "escalated_requests": self._source.requests().escalated,
            "estimated_calls": total.estimated,
            "unknown_cost_calls": total.unpriced,
        }

    def get_optimization_recommendations(self) -> list[Recommendation]:
        """Return recommendations that the calls so far support, each with its numbers; none without enough calls."""
        limit, remaining = self._limit, self._remaining()
        used = None if limit is None or remaining is None else limit - remaining
        return recommend(self._source.sums(), self._source.requests(), limit_nano_usd=limit, used_nano_usd=used)

    def get_daily_budget_remaining(self) -> float | None:
        """Return the part of the day's budget that is left, in USD; 0.0 when it is used up, None without a budget.

        The day is one of UTC. The budget is reported, and stops no call: the gateway's budgets do.
        """
        remaining = self._remaining()
        return None if remaining is None else max(0, remaining) / NANO

    def _remaining(self) -> int | None:
        if self._limit is None:
            return None
        today = self._source.today()
        spent = sum(each.cost_nano_usd for key, each in self._source.sums().items() if key.day == today)
        return self._limit - spent

    def _sums(self, days: int | None) -> dict[UsageKey, UsageSum]:
        sums = self._source.sums()
        if days is None:
            return sums
        if days < 1:
            raise ValueError(f"days: found {quote(days)}, expected 1 or more")
        since = self._source.today() - timedelta(days=days - 1)
        return {key: each for key, each in sums.items() if key.day >= since}

    def _performance(self, name: str, provider: str, found: UsageSum) -> ModelPerformance:
        judged = found.attempts - found.blameless
        times = sorted(self._source.times(name))
        seconds = found.milliseconds / 1000
        return {
            "provider": provider,
            "requests": found.attempts,
            "success_rate": found.successes / judged if judged else None,
            "average_response_time": seconds / found.successes if found.successes else None,
            "median_response_time": median(times) / 1000 if times else None,
            "p95_response_time": times[-(-len(times) * 95 // 100) - 1] / 1000 if times else None,
            "tokens_per_second": found.success_tokens / seconds if seconds and found.success_tokens else None,
            "tokens": found.input_tokens + found.output_tokens,
            "input_tokens": found.input_tokens,
            "output_tokens": found.output_tokens,
            "cost": found.cost_nano_usd / NANO,
            "cost_nano_usd": found.cost_nano_usd,
            "errors": dict(found.errors),
        }


def _by_cost(groups: Iterable[tuple[str, Any]]) -> dict[str, float]:
    nano: dict[str, int] = defaultdict(int)
    for name, each in groups:
        nano[name] += each.cost_nano_usd
    return {name: cost / NANO for name, cost in sorted(nano.items(), key=lambda each: -each[1])}
