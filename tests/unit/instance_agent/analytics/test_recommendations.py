"""Recommendations are computed from numbers, and say nothing without enough of them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from instance_agent.analytics.recommendations import recommend_budgets, recommend_models, success_interval
from instance_agent.analytics.usage import Use
from instance_agent.spend.exchange import MeterSpend

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
MONTH = timedelta(days=30)


def a_use(model: str, successes: int, failures: int, nano_usd: int, *, tokens: int = 100_000, **fields: Any) -> Use:
    values: dict[str, Any] = {
        **dict.fromkeys(Use._fields, 0),
        **dict.fromkeys(("workspace", "key_id", "policy", "worker"), None),
        "period_start": BEGIN, "period_end": BEGIN + MONTH, "task_type": "code", "model": model, "provider": "p",
        "successes": successes, "failures": failures, "input_tokens": tokens, "cost_nano_usd": Decimal(nano_usd),
        "response_time_count": successes + failures, "response_time_sum_ms": 500 * (successes + failures),
    }  # fmt: skip
    return Use(**values | fields)


def test_a_cheaper_model_with_the_same_success_is_recommended_with_its_numbers() -> None:
    found = recommend_models(
        [a_use("dear", 95, 5, 5_000_000_000), a_use("cheap", 190, 10, 500_000_000, tokens=200_000)]
    )

    (only,) = found
    assert (only["kind"], only["modelId"], only["insteadModelId"]) == ("cheaper_model", "dear", "cheap")
    # 100,000 tokens at 50,000 nano-USD, and at 2,500.
    assert (only["savingNanoUsd"], only["saving"]) == (4_750_000_000, 4.75)
    assert only["numbers"]["model"] == {
        "modelId": "dear", "provider": "p", "outcomes": 100, "successRate": 0.95, "interval": [0.8882, 0.9785],
        "costPerMillionTokens": 50.0, "averageLatency": 500.0,
    }  # fmt: skip
    assert only["text"] == (
        "Use cheap instead of dear for tasks of the type code: 95.0% of 200 succeeded, and 95.0% of 100 of dear, for 4.75 "
        "USD less at the same tokens."
    )


@pytest.mark.parametrize(
    ("cheap", "why"),
    [
        (a_use("cheap", 80, 20, 1), "its success is below the interval"),
        (a_use("cheap", 28, 1, 1), "it has too few outcomes"),
        (a_use("cheap", 95, 5, 4_600_000_000), "it is hardly cheaper"),
        (a_use("cheap", 95, 5, 1, without_cost=1), "not every cost is known"),
        (a_use("cheap", 95, 5, 1, task_type="chat"), "it did other tasks"),
    ],
)
def test_no_cheaper_model_is_recommended_when(cheap: Use, why: str) -> None:
    assert recommend_models([a_use("dear", 95, 5, 5_000_000_000), cheap]) == [], why


def test_a_model_that_is_surely_worse_and_not_cheaper_is_to_be_avoided() -> None:
    good, bad = a_use("good", 98, 2, 1_000_000), a_use("bad", 60, 40, 1_000_000)

    (only,) = recommend_models([good, bad])
    assert (only["kind"], only["modelId"], only["insteadModelId"], only["savingNanoUsd"]) == (
        "avoid_model",
        "bad",
        "good",
        0,
    )
    assert recommend_models([good, a_use("bad", 60, 40, 900_000)]) == [], "it is worse, and cheaper"
    assert recommend_models([good, a_use("bad", 60, 40, 1_000_000, response_time_sum_ms=1)]) == [], "it is faster"


def kinds(*uses: Use) -> list[str]:
    return [each["kind"] for each in recommend_models(uses)]


def test_a_cheaper_model_at_the_border_of_the_interval_of_the_outcomes_and_of_the_cost() -> None:
    """The interval of 95 of 100 begins at 88.82%; the dear model has a cost of 5 USD."""
    dear = a_use("dear", 95, 5, 5_000_000_000)
    assert kinds(dear, a_use("cheap", 89, 11, 1)) == ["cheaper_model"]
    assert kinds(dear, a_use("cheap", 88, 12, 1)) == []
    low, _ = success_interval(95, 100)
    assert kinds(dear, a_use("cheap", 8883, 1117, 1)) == ["cheaper_model"]
    assert 0.8881 < low < 0.8883
    assert kinds(dear, a_use("cheap", 8881, 1119, 1)) == []
    assert kinds(dear, a_use("cheap", 29, 1, 1)) == ["cheaper_model"]
    assert kinds(dear, a_use("cheap", 29, 0, 1)) == []
    assert kinds(dear, a_use("cheap", 95, 5, 4_500_000_000)) == ["cheaper_model"]
    assert kinds(dear, a_use("cheap", 95, 5, 4_500_000_001)) == []


def test_a_model_to_avoid_at_the_border_of_the_intervals() -> None:
    bad, cost = (60, 40), 1_000_000
    _, high = success_interval(60, 100)
    clear = next(good for good in range(60, 101) if success_interval(good, 100)[0] > high)
    assert success_interval(clear - 1, 100)[0] <= high < success_interval(clear, 100)[0]
    assert kinds(a_use("bad", *bad, cost), a_use("good", clear, 100 - clear, cost)) == ["avoid_model"]
    assert kinds(a_use("bad", *bad, cost), a_use("good", clear - 1, 101 - clear, cost)) == [], "the intervals overlap"
    assert kinds(a_use("bad", *bad, cost), a_use("good", clear, 100 - clear, cost + 1)) == [], "it is dearer"
    assert kinds(a_use("bad", 17, 12, cost), a_use("good", 100, 0, cost)) == [], "29 outcomes"


def test_a_budget_at_the_border_of_its_period() -> None:
    now = BEGIN + timedelta(days=10)
    assert recommend_budgets([a_spend(10_000_000_000)], now) == [], "it ends with the period"
    (barely,) = recommend_budgets([a_spend(10_000_000_001)], now)
    assert BEGIN + MONTH - timedelta(milliseconds=1) < barely["endsAt"] < BEGIN + MONTH
    # 5% of a month of 30 days are a day and a half.
    early = BEGIN + timedelta(days=1.5)
    assert [each["kind"] for each in recommend_budgets([a_spend(15_000_000_000)], early)] == ["budget_ends"]
    assert recommend_budgets([a_spend(15_000_000_000)], early - timedelta(microseconds=1)) == []
    assert recommend_budgets([a_spend(30_000_000_000)], BEGIN + MONTH) == [], "its period is over"


def test_the_interval_is_that_of_wilson() -> None:
    low, high = success_interval(5, 10)
    assert (round(low, 4), round(high, 4)) == (0.2366, 0.7634)
    assert success_interval(0, 0) == (0.0, 1.0)


def a_spend(spent: int, *, limit: int = 30_000_000_000, unit: str = "nano_usd", written_off: int = 0) -> MeterSpend:
    return MeterSpend("budget/fleet:monthly", unit, limit, spent, 0, 0, written_off, BEGIN, BEGIN + MONTH, None)


def test_a_budget_that_ends_early_says_when() -> None:
    now = BEGIN + timedelta(days=10)
    (only,) = recommend_budgets([a_spend(15_000_000_000)], now)

    # 1.5 USD a day: 15 USD more last 10 days.
    assert only["endsAt"] == BEGIN + timedelta(days=20)
    assert (only["budgetId"], only["numbers"]["perDayNanoUsd"]) == ("fleet:monthly", 1_500_000_000)
    assert only["numbers"]["expectedNanoUsd"] == 45_000_000_000
    assert only["text"] == (
        "The budget fleet:monthly ends on 2026-11-21 at 00:00 UTC at the rate so far: 15.00 USD of 30.00 USD are spent, and "
        "its period ends on 2026-12-01 at 00:00."
    )
    (used_up,) = recommend_budgets([a_spend(30_000_000_000)], now)
    assert used_up["endsAt"] == now
    assert "is used up" in used_up["text"]
    assert recommend_budgets([a_spend(9_999_999_999)], now) == [], "it lasts"
    assert recommend_budgets([a_spend(15_000_000_000, unit="tokens")], now) == []
    assert recommend_budgets([a_spend(15_000_000_000)], BEGIN + timedelta(days=1)) == [], "a rate of a day says little"
    assert recommend_budgets([a_spend(0)], now) == []
