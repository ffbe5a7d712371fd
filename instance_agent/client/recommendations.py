"""Recommendations from sums of calls, each with its numbers. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from math import sqrt
from typing import Any, Final, TypedDict

from instance_agent.client.local_first import LOCAL
from instance_agent.client.usage_records import RequestSum, UsageKey, UsageSum
from instance_agent.execution.cost import NANO

#: Attempts below which nothing is said about a model.
_FEWEST: Final = 20
#: Quantile of the normal distribution for intervals of 95%.
_Z: Final = 1.96
#: A model is called cheaper when a success with it costs at most this share.
_CHEAPER: Final = 0.7
_POOR: Final = 0.5
#: As the gateway's budgets: alert_threshold.
_ALERT: Final = 0.8
_MANY_ESCALATED: Final = 0.2


class Recommendation(TypedDict):
    """One recommendation.

    Attributes:
        kind: ``cheaper_model``, ``poor_model``, ``budget``, ``local_models`` or ``simple_tasks``; from a database
            ``cheaper_model``, ``better_model``, ``budget_ends``, ``budget`` or ``local_models``.
        message: in words, with the numbers.
        numbers: that it stands on.
    """

    kind: str
    message: str
    numbers: dict[str, Any]


def recommend(sums: Mapping[UsageKey, UsageSum], requests: RequestSum) -> list[Recommendation]:
    """Return what the sums support, the most urgent first.

    Args:
        sums: of attempts.
        requests: their sums.
    """
    found = [*_poor(sums), *_cheaper(sums), *escalated_often(requests.escalated, requests.requests)]
    if requests.simple_paid - requests.escalated >= _FEWEST:
        found.append(
            {
                "kind": "simple_tasks",
                "message": f"{requests.simple_paid} simple tasks were answered by a paid provider: start LM Studio or Ollama"
                f" with a model, which {LOCAL} stands for, and they cost nothing",
                "numbers": {"simple_tasks_paid": requests.simple_paid, "requests": requests.requests},
            }
        )
    return found


def budget_nearly_used(limit_nano_usd: int, used_nano_usd: int) -> list[Recommendation]:
    """Return the recommendation on the day's budget; none before 80% of it are used."""
    if not limit_nano_usd or used_nano_usd < _ALERT * limit_nano_usd:
        return []
    share = used_nano_usd / limit_nano_usd
    return [
        {
            "kind": "budget",
            "message": f"{share:.0%} of the day's budget of {limit_nano_usd / NANO:g} USD is used:"
            f" send simple tasks to local models, or raise the budget",
            "numbers": {"used_usd": used_nano_usd / NANO, "limit_usd": limit_nano_usd / NANO},
        }
    ]


def escalated_often(escalated: int, requests: int) -> list[Recommendation]:
    """Return the recommendation on local models that fail; none below 20 requests, or a fifth of them."""
    if requests < _FEWEST or escalated / requests < _MANY_ESCALATED:
        return []
    return [
        {
            "kind": "local_models",
            "message": f"{escalated} of {requests} requests went to a paid provider because local"
            " models had failed: look at the local service and its log",
            "numbers": {"escalated": escalated, "requests": requests},
        }
    ]


def interval(successes: int, attempts: int) -> tuple[float, float]:
    """Return the 95% interval of a success rate, by Wilson's formula (E. B. Wilson, 1927)."""
    if not attempts:
        return 0.0, 1.0
    rate, square = successes / attempts, _Z * _Z
    middle = (rate + square / (2 * attempts)) / (1 + square / attempts)
    half = _Z / (1 + square / attempts) * sqrt(rate * (1 - rate) / attempts + square / (4 * attempts * attempts))
    return middle - half, middle + half


def _poor(sums: Mapping[UsageKey, UsageSum]) -> list[Recommendation]:
    models: dict[str, UsageSum] = defaultdict(UsageSum)
    for key, each in sums.items():
        models[key.model].add(each)
    found: list[Recommendation] = []
    for name, each in models.items():
        judged = each.judged
        low, high = interval(each.successes, judged)
        if judged >= _FEWEST and high < _POOR:
            found.append(
                {
                    "kind": "poor_model",
                    "message": f"{name} answered well in {each.successes} of {judged} attempts (95% interval"
                    f" {low:.0%} to {high:.0%}): leave it out of the catalog until it is repaired",
                    "numbers": {
                        "model": name,
                        "successes": each.successes,
                        "attempts": judged,
                        "interval": [low, high],
                    },
                }
            )
    return found


def _cheaper(sums: Mapping[UsageKey, UsageSum]) -> list[Recommendation]:
    """Return, for each task type, the cheapest model that is as good within its interval as the one that costs most."""
    tasks: dict[str, dict[str, UsageSum]] = defaultdict(lambda: defaultdict(UsageSum))
    for key, each in sums.items():
        tasks[key.task_type][key.model].add(each)
    found: list[Recommendation] = []
    for task_type, models in tasks.items():
        known = {
            name: each
            for name, each in models.items()
            if each.judged >= _FEWEST and each.successes and not each.unpriced
        }
        if len(known) < 2:
            continue
        dear = max(known, key=lambda name: known[name].cost_nano_usd)
        price = _price(known[dear])
        rate = known[dear].successes / known[dear].judged
        others = [
            name
            for name, each in known.items()
            if _price(each) <= _CHEAPER * price and interval(each.successes, each.judged)[1] >= rate
        ]
        if not price or not others:
            continue
        best = min(others, key=lambda name: _price(known[name]))
        other = known[best]
        judged = other.judged
        found.append(
            {
                "kind": "cheaper_model",
                "message": f"{task_type}: {best} costs {_price(other) / NANO:.6f} USD a success and answered well in"
                f" {other.successes} of {judged} attempts; {dear} costs"
                f" {price / NANO:.6f} USD, with {rate:.0%}: prefer {best}",
                "numbers": {
                    "task_type": task_type,
                    "model": best,
                    "instead_of": dear,
                    "cost_usd": _price(other) / NANO,
                    "instead_of_cost_usd": price / NANO,
                    "successes": other.successes,
                    "attempts": judged,
                    "instead_of_success_rate": rate,
                },
            }
        )
    return found


def _price(each: UsageSum) -> float:
    return each.cost_nano_usd / each.successes
