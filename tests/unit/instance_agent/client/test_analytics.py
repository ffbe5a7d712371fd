"""Reports in memory: exact sums, the day's budget, and recommendations that the numbers support."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chats import an_upstream

from instance_agent import RouterAnalytics
from instance_agent.catalog.model import Model
from instance_agent.chat.answers import Usage
from instance_agent.client.recommendations import interval, recommend
from instance_agent.client.usage_records import RequestSum, UsageKey, UsageRecords, UsageSum
from instance_agent.execution.attempts import Attempt
from instance_agent.execution.cost import Cost
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.targets import CallTarget
from instance_agent.providers.installed import dialect

NOW = datetime(2026, 11, 29, 23, 59, tzinfo=UTC)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


UPSTREAM = an_upstream("openai")


def attempt_of(model: str, nano: int | None, *, kind: Any = None, milliseconds: int = 100) -> Attempt:
    return Attempt(
        decision_id="d",
        request_id="r",
        number=1,
        call=PlannedCall(target=CallTarget(model, Model(name=model, provider="p"), dialect("openai"), UPSTREAM)),
        propensity=None,
        started_at=NOW,
        outcome="failure" if kind else "success",
        error_kind=kind,
        response_time_ms=None if kind == "caller" else milliseconds,
        usage=Usage(input_tokens=10, output_tokens=20),
        cost=Cost(nano_usd=nano),
    )


def test_a_hundred_calls_sum_to_the_nano_dollar() -> None:
    records = UsageRecords(Clock())
    costs = [15_000 + 7 * number for number in range(100)]
    for number, cost in enumerate(costs):
        records.add_attempt(attempt_of(f"m{number % 3}", cost), "reasoning", local=False)
    analytics = RouterAnalytics(records)
    found = analytics.get_cost_analysis()
    assert found["total_cost_nano_usd"] == sum(costs)
    assert f"${found['total_cost']:.6f}" == "$0.001535"
    report = analytics.get_model_performance_report()
    assert len(report) == 3
    assert sum(each["cost_nano_usd"] for each in report.values()) == sum(costs)
    assert report["m0"]["requests"] == 34
    assert report["m0"]["tokens_per_second"] == pytest.approx(200)
    assert found["total_tokens"] == 3_000


@given(st.lists(st.integers(0, 10**15), max_size=50))
def test_sums_are_exact_whatever_their_size(costs: list[int]) -> None:
    records = UsageRecords(Clock())
    for cost in costs:
        records.add_attempt(attempt_of("m", cost), None, local=False)
    assert RouterAnalytics(records).get_cost_analysis()["total_cost_nano_usd"] == sum(costs)


def test_failures_of_the_caller_say_nothing_about_a_model() -> None:
    records = UsageRecords(Clock())
    for kind in (None, "provider", "caller", "policy"):
        records.add_attempt(attempt_of("m", 0, kind=kind), None, local=True)
    report = RouterAnalytics(records).get_model_performance_report()["m"]
    assert report["success_rate"] == 0.5
    assert report["errors"] == {"provider": 1, "caller": 1, "policy": 1}


def test_an_unknown_cost_is_counted_and_not_zero() -> None:
    records = UsageRecords(Clock())
    records.add_attempt(attempt_of("m", None), None, local=False)
    assert RouterAnalytics(records).get_cost_analysis()["unknown_cost_calls"] == 1


def test_the_budget_is_that_of_the_day_in_utc() -> None:
    clock = Clock()
    records = UsageRecords(clock)
    analytics = RouterAnalytics(records, daily_budget_usd=0.001)
    records.add_attempt(attempt_of("m", 400_000), None, local=False)
    assert analytics.get_daily_budget_remaining() == 0.0006
    records.add_attempt(attempt_of("m", 700_000), None, local=False)
    assert analytics.get_daily_budget_remaining() == 0.0
    assert analytics.get_optimization_recommendations()[0]["numbers"] == {"used_usd": 0.0011, "limit_usd": 0.001}
    clock.now += timedelta(minutes=1)
    assert analytics.get_daily_budget_remaining() == 0.001
    assert analytics.get_cost_analysis(days=1)["total_cost"] == 0.0
    assert analytics.get_cost_analysis(days=2)["by_day"] == {"2026-11-29": 0.0011}


def test_the_budget_may_be_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert RouterAnalytics(UsageRecords()).get_daily_budget_remaining() is None
    monkeypatch.setenv("INSTANCE_AGENT_DAILY_BUDGET_USD", "2.5")
    assert RouterAnalytics(UsageRecords()).get_daily_budget_remaining() == 2.5
    with pytest.raises(ValueError, match="days: found 0, expected 1 or more"):
        RouterAnalytics(UsageRecords()).get_cost_analysis(days=0)
    with pytest.raises(ValueError, match="daily_budget_usd: found -1, expected a number from 0 on"):
        RouterAnalytics(daily_budget_usd=-1)


def test_no_cost_is_lost_when_callers_make_up_names() -> None:
    records = UsageRecords(Clock())
    for number in range(4200):
        records.add_attempt(attempt_of("m", 1), f"task {number}", local=False)
    sums = records.sums()
    assert len(sums) <= 4097
    assert sum(each.cost_nano_usd for each in sums.values()) == 4200


def sums_of(**models: tuple[int, int, int]) -> dict[UsageKey, UsageSum]:
    """Return sums for ``reasoning``: attempts, successes and nano-USD of each model."""
    day = date(2026, 11, 29)
    return {
        UsageKey(day, name, "p", "reasoning"): UsageSum(attempts=attempts, successes=successes, cost_nano_usd=nano)
        for name, (attempts, successes, nano) in models.items()
    }


def test_a_cheaper_model_that_is_as_good_is_recommended() -> None:
    found = recommend(sums_of(dear=(100, 97, 9_700_000), cheap=(100, 96, 960_000)), RequestSum())
    assert [each["kind"] for each in found] == ["cheaper_model"]
    assert (found[0]["numbers"]["model"], found[0]["numbers"]["instead_of"]) == ("cheap", "dear")


def test_a_cheaper_model_that_is_worse_is_not() -> None:
    assert recommend(sums_of(dear=(100, 99, 9_900_000), cheap=(100, 80, 800_000)), RequestSum()) == []


def test_a_model_that_fails_is_named_and_few_calls_say_nothing() -> None:
    assert [each["kind"] for each in recommend(sums_of(bad=(40, 5, 0)), RequestSum())] == ["poor_model"]
    assert recommend(sums_of(bad=(10, 1, 0)), RequestSum()) == []


def test_escalations_and_simple_tasks_that_cost_something_are_named() -> None:
    found = recommend({}, RequestSum(requests=100, escalated=30, simple_paid=60))
    assert [each["kind"] for each in found] == ["local_models", "simple_tasks"]


def test_the_interval_is_wilsons() -> None:
    assert interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-3)
