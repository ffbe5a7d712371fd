"""Recommendations are computed from numbers, and say nothing without enough of them."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from centralcloud.dashboard.costs import cost_panel
from centralcloud.dashboard.report.reading import Report, Totals
from centralcloud.dashboard.report.recommendations import leaders_of, recommendations
from centralcloud.dashboard.sources.money import PairMoney
from centralcloud.runtime.comparison import wilson_interval
from instance_agent.analytics.recommendations import recommend_budgets, recommend_models
from instance_agent.analytics.usage import ModelUse
from instance_agent.spend.exchange import MeterSpend

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
MONTH = timedelta(days=30)


def a_use(
    model: str, successes: int, failures: int, nano_usd: int, complexity: str = "complex", **fields: Any
) -> ModelUse:
    outcomes = successes + failures
    use = ModelUse(complexity, model, "p", outcomes, successes, failures, 0, outcomes, 500 * outcomes, nano_usd)
    return use._replace(**fields)


def test_a_cheaper_model_with_the_same_success_is_recommended_with_its_numbers() -> None:
    found = recommend_models([a_use("dear", 9500, 500, 50_000_000_000), a_use("cheap", 4750, 250, 5_000_000_000)])

    (only,) = found
    assert (only["kind"], only["modelId"], only["insteadModelId"]) == ("cheaper_model", "dear", "cheap")
    # 10,000 tasks at 5,000,000 nano-USD, and at 1,000,000.
    assert (only["savingNanoUsd"], only["saving"], only["complexity"]) == (40_000_000_000, 40.0, "complex")
    assert only["numbers"]["model"] == {
        "modelId": "dear", "provider": "p", "outcomes": 10000, "successRate": 0.95, "interval": [0.9456, 0.9541],
        "costOfSuccess": 0.005263158, "averageLatency": 500.0,
    }  # fmt: skip
    assert only["text"] == (
        "Give cheap more of the complex tasks of dear: 95.0% of 5,000 succeeded, and 95.0% of 10,000 of dear, and a success "
        "costs 0.001052632 USD and not 0.005263158 USD. All of them: 40.00 USD less."
    )


def test_models_are_compared_at_tasks_of_one_complexity() -> None:
    """Over all tasks "small" succeeds more often and costs a tenth: it gets the simple ones, and fails complex ones."""
    uses = [
        a_use("small", 9600, 400, 10_000_000, "simple"),
        a_use("small", 600, 400, 1_000_000),
        a_use("large", 9000, 1000, 150_000_000),
    ]
    assert recommend_models(uses) == []


def a_report(pairs: list[PairMoney]) -> Report:
    values: dict[str, Any] = dict.fromkeys(Report._fields, ())
    return Report(**values | {"pairs": tuple(pairs), "totals": Totals(0, 0, 0, 0, 0.0)})


def test_recommendations_are_those_of_the_report_and_its_pages() -> None:
    """Whatever the numbers are: `centralcloud report` and this name the same leader and the same cheaper models."""
    rng = random.Random(15)
    named = 0
    for _ in range(300):
        uses = [
            a_use(name, rng.randrange(40, 400), rng.randrange(60), rng.randrange(1, 50) * 1_000_000, complexity)
            for complexity in ("simple", "medium", "complex")
            for name in "abcd"
        ]
        pairs = [
            PairMoney(each.model, each.complexity, *each[3:6], each.cost_nano_usd, 1.0, None, None) for each in uses
        ]
        for complexity in ("simple", "medium", "complex"):
            leader = leaders_of(pairs)[complexity]
            panel = cost_panel(complexity, pairs, leader)
            ours = [each for each in recommend_models(uses) if each["complexity"] == complexity]
            named += len(ours)
            assert {each["modelId"] for each in ours} <= {leader}
            frontier = {each.name for each in panel.points if each.on_frontier}
            assert {each["insteadModelId"] for each in ours} <= frontier, "the Money page draws them on the line"
        texts = [
            each.text.partition(" tasks")[0] for each in recommendations(a_report(pairs)) if "succeeds" in each.text
        ]
        words = {"cheaper_model": "as often as", "better_model": "more often than"}
        assert sorted(texts) == sorted(
            f"{each['insteadModelId']} succeeds {words[each['kind']]} {each['modelId']} on {each['complexity']}"
            for each in recommend_models(uses)
        )
    assert named > 20


@pytest.mark.parametrize(
    ("cheap", "why"),
    [
        (a_use("cheap", 9000, 1000, 1), "it succeeds less often"),
        (a_use("cheap", 99, 0, 1), "it has too few outcomes"),
        (a_use("cheap", 9500, 500, 46_000_000_000), "it is hardly cheaper"),
        (a_use("cheap", 9500, 500, 1, without_cost=9500), "its costs are not known"),
        (a_use("cheap", 9500, 500, 1, "medium"), "it did other tasks"),
    ],
)
def test_no_cheaper_model_is_recommended_when(cheap: ModelUse, why: str) -> None:
    assert recommend_models([a_use("dear", 9500, 501, 50_000_000_000), cheap]) == [], why
    assert kinds(a_use("dear", 9500, 501, 50_000_000_000), a_use("cheap", 9500, 500, 1)) == ["cheaper_model"]


def kinds(*uses: ModelUse) -> list[str]:
    return [each["kind"] for each in recommend_models(uses)]


def test_a_model_that_surely_succeeds_more_often_for_not_more_is_better_than_the_leader() -> None:
    good, bad = a_use("good", 490, 10, 5_000_000), a_use("bad", 600, 400, 10_000_000)

    (only,) = recommend_models([good, bad, a_use("beaten", 470, 30, 6_000_000)])
    assert (only["kind"], only["modelId"], only["insteadModelId"]) == ("cheaper_model", "bad", "good")
    (only,) = recommend_models([good._replace(cost_nano_usd=8_000_000), bad])
    assert (only["kind"], only["modelId"], only["insteadModelId"]) == ("better_model", "bad", "good")
    assert only["text"] == (
        "Give good the complex tasks of bad: 98.0% of 500 succeeded, and 60.0% of 1,000 of bad, and a success does not cost "
        "more."
    )
    assert kinds(good._replace(cost_nano_usd=9_000_000), bad) == [], "it is better, and a success costs more"
    assert kinds(a_use("good", 99, 0, 1_600_000), bad) == [], "99 outcomes"
    assert kinds(a_use("good", 2000, 10, 1), bad) == [], "learning has found it already: the other one does not lead"


def test_a_better_model_at_the_border_of_the_intervals() -> None:
    bad = a_use("bad", 600, 400, 100_000_000, attempts=1001)
    _, high = wilson_interval(600, 1000)
    clear = next(good for good in range(600, 1001) if wilson_interval(good, 1000)[0] > high)
    assert wilson_interval(clear - 1, 1000)[0] <= high < wilson_interval(clear, 1000)[0]
    same_price = round(100_000_000 / 600 * clear)
    assert kinds(bad, a_use("good", clear, 1000 - clear, same_price)) == ["better_model"]
    assert kinds(bad, a_use("good", clear - 1, 1001 - clear, round(100_000_000 / 600 * (clear - 1)))) == []
    assert kinds(bad, a_use("good", clear, 1000 - clear, same_price + 1_000_000)) == [], "it is dearer"


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
