"""Recommendations, each with the numbers that it is computed from. Pure.

Three kinds: ``cheaper_model``: another model succeeds as often as the leader of a complexity for less; ``better_model``:
another one surely succeeds more often than the leader, and is not dearer; ``budget_ends``: at the rate so far, a budget ends
before its period.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, Literal

from centralcloud.contracts.limits import NANO_USD_PER_USD
from centralcloud.runtime.comparison import advise, cost_of_success, cost_of_task, outcomes_of, wilson_interval
from instance_agent.analytics.usage import ModelUse
from instance_agent.spend.exchange import MeterSpend

#: Share of a period that must be over before its rate says something.
_LEAST_ELAPSED: Final = 0.05


def recommend_models(uses: Iterable[ModelUse]) -> list[dict[str, Any]]:
    """Return recommendations on models, the greatest saving first.

    They compare models at tasks of one complexity, as `centralcloud report` and the dashboard do: the tasks of a model that
    gets the simple ones succeed more often, and cost less.

    Args:
        uses: sums of one time by complexity and model.
    """
    found = []
    by_complexity = attrgetter("complexity")
    for _, rows in groupby(sorted(uses, key=by_complexity), key=by_complexity):
        found += [_recommended(*each) for each in advise(list(rows))]
    return sorted(found, key=lambda each: (-each["savingNanoUsd"], each["kind"], each["modelId"], each["complexity"]))


def _recommended(kind: Literal["cheaper", "better"], model: ModelUse, instead: ModelUse) -> dict[str, Any]:
    costs, saving = (cost_of_task(model), cost_of_task(instead)), 0
    if costs[0] is not None and costs[1] is not None:
        saving = max(0, round((costs[0] - costs[1]) * model.decisions * NANO_USD_PER_USD))
    rates = f"{_share(instead)} succeeded, and {_share(model)} of {model.model}"
    tasks = f"the {model.complexity} tasks of {model.model}"
    if kind == "cheaper":
        text = (
            f"Give {instead.model} more of {tasks}: {rates}, and a success costs {_price(instead)} and not {_price(model)}. "
            f"All of them: {_usd(saving)} less."
        )
    else:
        text = f"Give {instead.model} {tasks}: {rates}, and a success does not cost more."
    return {
        "kind": f"{kind}_model",
        "text": text,
        "complexity": model.complexity,
        "modelId": model.model,
        "insteadModelId": instead.model,
        "savingNanoUsd": saving,
        "saving": saving / NANO_USD_PER_USD,
        "numbers": {"model": _numbers(model), "instead": _numbers(instead), "tasks": model.decisions},
    }


def _numbers(use: ModelUse) -> dict[str, Any]:
    """Return the numbers in the JSON form of /api; `interval`: the 95% interval of the success rate (Wilson, 1927)."""
    outcomes, cost = outcomes_of(use), cost_of_success(use)
    latency = use.response_time_sum_ms / use.response_time_count if use.response_time_count else None
    low, high = wilson_interval(use.successes, outcomes)
    return {
        "modelId": use.model,
        "provider": use.provider,
        "outcomes": outcomes,
        "successRate": round(use.successes / outcomes, 4),
        "interval": [round(low, 4), round(high, 4)],
        "costOfSuccess": None if cost is None else round(cost, 9),
        "averageLatency": None if latency is None else round(latency, 1),
    }


def recommend_budgets(spends: Iterable[MeterSpend], now: datetime) -> list[dict[str, Any]]:
    """Return the budgets that end before their period does, at the rate since its begin; the first one that ends first."""
    found = []
    for spend in spends:
        length, elapsed = spend.period_end - spend.period_start, now - spend.period_start
        used = spend.spent + spend.written_off
        if spend.unit != "nano_usd" or used <= 0 or elapsed < _LEAST_ELAPSED * length or now >= spend.period_end:
            continue
        ends_at = now + elapsed * (spend.remaining / used)
        if ends_at >= spend.period_end:
            continue
        budget, limit = spend.meter.partition("/")[2], spend.limit_amount
        by_end = round(used * (length / elapsed))
        state = (
            "is used up"
            if not spend.remaining
            else f"ends on {ends_at.astimezone(UTC):%Y-%m-%d at %H:%M} UTC at the rate so far"
        )
        found.append(
            {
                "kind": "budget_ends",
                "text": f"The budget {budget} {state}: {_usd(used)} of {_usd(limit)} are spent, and its period ends on "
                f"{spend.period_end.astimezone(UTC):%Y-%m-%d at %H:%M}.",
                "budgetId": budget,
                "endsAt": ends_at.astimezone(UTC),
                "numbers": {
                    "limitNanoUsd": limit,
                    "spentNanoUsd": used,
                    "expectedNanoUsd": by_end,
                    "perDayNanoUsd": round(used / (elapsed.total_seconds() / 86_400)),
                    "periodStart": spend.period_start.astimezone(UTC),
                    "periodEnd": spend.period_end.astimezone(UTC),
                },
            }
        )
    return sorted(found, key=lambda each: (each["endsAt"], each["budgetId"]))


def _share(use: ModelUse) -> str:
    return f"{use.successes / outcomes_of(use):.1%} of {outcomes_of(use):,}"


def _price(use: ModelUse) -> str:
    return _usd(round((cost_of_success(use) or 0.0) * NANO_USD_PER_USD))


def _usd(nano: int) -> str:
    amount = Decimal(nano) / NANO_USD_PER_USD
    return f"{amount:,.2f} USD" if amount >= 1 or not nano else f"{amount.normalize():f} USD"
