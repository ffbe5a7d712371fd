"""Recommendations, each with the numbers that it is computed from. Pure.

Three kinds: ``cheaper_model``: another model has the same success for less; ``avoid_model``: another one is surely better,
and not dearer; ``budget_ends``: at the rate so far, a budget ends before its period.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from centralcloud.contracts.limits import NANO_USD_PER_USD
from instance_agent.analytics.usage import Use
from instance_agent.spend.exchange import MeterSpend

#: Outcomes of a model at a task, below which it is not compared.
LEAST_OUTCOMES: Final = 30
#: A model is cheaper up to this share of the cost, so that rounding and the mix of prompts recommend nothing.
_CHEAPER: Final = 0.9
#: Share of a period that must be over before its rate says something.
_LEAST_ELAPSED: Final = 0.05
_NINETY_FIVE_PERCENT: Final = 1.96


class _Model:
    """A model at a task, in numbers.

    Attributes:
        low, high: of the 95% interval of its success rate (Wilson, 1927).
        per_token: mean cost of a token, input and output together, in nano-USD; None: not every cost is known.
    """

    def __init__(self, use: Use) -> None:
        self.use = use
        self.name = use.model or ""
        self.outcomes = use.successes + use.failures
        self.rate = use.successes / self.outcomes
        self.low, self.high = success_interval(use.successes, self.outcomes)
        self.tokens = use.input_tokens + use.output_tokens
        known = self.tokens > 0 and not use.without_cost
        self.per_token = float(use.cost_nano_usd) / self.tokens if known else None
        self.latency = use.response_time_sum_ms / use.response_time_count if use.response_time_count else None

    def numbers(self) -> dict[str, Any]:
        """Return the numbers in the JSON form of /api."""
        return {
            "modelId": self.name,
            "provider": self.use.provider,
            "outcomes": self.outcomes,
            "successRate": round(self.rate, 4),
            "interval": [round(self.low, 4), round(self.high, 4)],
            "costPerMillionTokens": None
            if self.per_token is None
            else round(self.per_token * 1e6 / NANO_USD_PER_USD, 6),
            "averageLatency": None if self.latency is None else round(self.latency, 1),
        }


def success_interval(successes: int, outcomes: int, z: float = _NINETY_FIVE_PERCENT) -> tuple[float, float]:
    """Return the interval of a success rate (Wilson, 1927), within 0 to 1; (0, 1) without outcomes."""
    if not outcomes:
        return 0.0, 1.0
    rate, square = successes / outcomes, z * z / outcomes
    middle = rate + square / 2
    margin = z * math.sqrt(rate * (1 - rate) / outcomes + square / (4 * outcomes))
    return max(0.0, (middle - margin) / (1 + square)), min(1.0, (middle + margin) / (1 + square))


def recommend_models(uses: Iterable[Use]) -> list[dict[str, Any]]:
    """Return recommendations on models, the greatest saving first.

    Args:
        uses: sums of one time by task and model.
    """
    found = []
    by_task = attrgetter("task_type")
    for task, rows in groupby(sorted(uses, key=lambda use: use.task_type or ""), key=by_task):
        models = [_Model(use) for use in rows if use.successes + use.failures >= LEAST_OUTCOMES and use.model]
        found += [each for model in models for each in _on_model(model, models, task or None)]
    return sorted(
        found, key=lambda each: (-each["savingNanoUsd"], each["kind"], each["modelId"], each["taskType"] or "")
    )


def _on_model(model: _Model, others: Sequence[_Model], task: str | None) -> list[dict[str, Any]]:
    better = [each for each in others if each.low > model.high and _is_not_worse(each, model)]
    if better:
        return [_recommended("avoid_model", model, max(better, key=lambda each: (each.low, each.name)), task)]
    cheaper = [
        each
        for each in others
        if each is not model
        and each.rate >= model.low
        and model.per_token is not None
        and each.per_token is not None
        and each.per_token <= _CHEAPER * model.per_token
    ]
    if cheaper:
        return [_recommended("cheaper_model", model, min(cheaper, key=lambda each: (each.per_token, each.name)), task)]
    return []


def _is_not_worse(one: _Model, other: _Model) -> bool:
    """Whether a model is neither dearer nor slower than another one, as far as both are known."""
    costs, times = (one.per_token, other.per_token), (one.latency, other.latency)
    return all(a is None or b is None or a <= b for a, b in (costs, times))


def _recommended(kind: str, model: _Model, instead: _Model, task: str | None) -> dict[str, Any]:
    saving = 0
    if model.per_token is not None and instead.per_token is not None:
        saving = max(0, round((model.per_token - instead.per_token) * model.tokens))
    where = f" for tasks of the type {task}" if task else ""
    rates = f"{_share(instead)} succeeded, and {_share(model)} of {model.name}"
    if kind == "cheaper_model":
        text = (
            f"Use {instead.name} instead of {model.name}{where}: {rates}, for {_usd(saving)} less at the same tokens."
        )
    else:
        text = f"Do not use {model.name}{where}: with {instead.name} {rates}, and it is neither dearer nor slower."
    return {
        "kind": kind,
        "text": text,
        "taskType": task,
        "modelId": model.name,
        "insteadModelId": instead.name,
        "savingNanoUsd": saving,
        "saving": saving / NANO_USD_PER_USD,
        "numbers": {"model": model.numbers(), "instead": instead.numbers(), "tokens": model.tokens},
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


def _share(model: _Model) -> str:
    return f"{model.rate:.1%} of {model.outcomes:,}"


def _usd(nano: int) -> str:
    amount = Decimal(nano) / NANO_USD_PER_USD
    return f"{amount:,.2f} USD" if amount >= 1 or not nano else f"{amount.normalize():f} USD"
