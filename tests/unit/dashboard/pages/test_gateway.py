"""The page of the gateways: pure parts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from centralcloud.dashboard.pages.gateway import heading
from centralcloud.dashboard.pages.gateway_budgets import meter_words, meters_of
from centralcloud.dashboard.pages.gateway_policies import condition_words, policy_words, rule_words
from centralcloud.dashboard.pages.gateway_targets import name_of, targets_of
from centralcloud.dashboard.pages.gateway_traffic import hour_traffic, newest
from centralcloud.dashboard.sources.budgets import Budget, Budgets, SpendPeriod
from centralcloud.dashboard.sources.gateways import AttemptSum, Gateway, RequestSum
from centralcloud.dashboard.sources.targets import TargetReport

NOW = datetime(2026, 11, 30, 2, 0, tzinfo=UTC)
NOTHING = meters_of(Budgets((), ()))


def a_report(key: str, state: str = "open", kind: str = "breaker", reporter: str = "gw-1") -> TargetReport:
    return TargetReport(kind, key, reporter, state, "calls of it failed", NOW, NOW + timedelta(minutes=1))


def a_period(meter: str = "budget/workspace:acme:daily", **values: Any) -> SpendPeriod:
    fields: dict[str, Any] = dict.fromkeys(SpendPeriod._fields)
    fields |= {
        "meter": meter, "unit": "nano_usd", "limit_amount": 10**9, "spent": 0, "estimated": 0, "leased": 0, "written_off": 0,
        "period_start": NOW, "period_end": NOW + timedelta(days=1),
    }  # fmt: skip
    return SpendPeriod(**(fields | values))


def a_sum(dimension: str = "all", name: str | None = None, **values: int) -> RequestSum:
    counts = {"requests": 10, "at_once": 10, "failed_over": 0, "failed": 0, "blameless": 0} | values
    return RequestSum(dimension, name, **counts, total_p50=1.0, total_p95=2.0, first_token_p50=None,
                      first_token_p95=None, cost_nano_usd=0, since=NOW)  # fmt: skip


@pytest.mark.parametrize(
    ("key", "name", "host"),
    [
        ("atlas@p|0a1b2c3d", "atlas@p", None),
        ("p|0a1b2c3d|host-a", "p", "host-a"),
        ("p|0a1b2c3d|01020304|host-a", "p", "host-a"),
        ("p|0a1b2c3d|01020304", "p", None),
        ("a|b@p#2|0a1b2c3d", "a|b@p#2", None),
        ("another form", "another form", None),
    ],
)
def test_the_key_of_a_target_says_its_name_and_host(key: str, name: str, host: str | None) -> None:
    assert name_of(key) == (name, host)


def test_targets_with_an_open_breaker_come_first_and_calls_stand_beside_them() -> None:
    calls = [AttemptSum("ember", "p", 9, 9, 0, NOW), AttemptSum("atlas", "p", 5, 1, 4, NOW)]
    targets = targets_of([a_report("atlas@p#2|0a1b2c3d")], calls)
    assert [(each.model, each.is_open, each.calls) for each in targets.rows] == [
        ("atlas", True, 5),
        ("ember", False, 9),
    ]
    assert targets.open == 1
    assert targets.rows[0].retry_at == NOW + timedelta(minutes=1)


def test_a_breaker_that_is_probed_is_half_open_and_names_the_one_that_probes() -> None:
    key = "atlas@p|0a1b2c3d"
    (target,) = targets_of([a_report(key), a_report(f"probe {key}", "held", "lease", "gw-2")], []).rows
    assert (target.words, target.reporter, target.retry_at) == ("half-open: one call probes it", "gw-2", None)


def test_a_breaker_that_closed_again_is_not_open() -> None:
    assert targets_of([a_report("p|0a1b2c3d", "closed")], []).open == 0


def test_many_targets_that_work_are_folded() -> None:
    targets = targets_of([], [AttemptSum(f"m{number}", "p", 1, 1, 0, NOW) for number in range(300)])
    assert len(targets.rows) + len(targets.others) + targets.hidden == 300
    assert len(targets.rows) == 12


@pytest.mark.parametrize(
    ("meter", "budget", "words"),
    [
        ("budget/workspace:acme:daily", None, "workspace acme, a day"),
        ("budget/workspace:a:b:monthly", None, "workspace a:b, a month"),
        ("budget/fleet:monthly", None, "the whole fleet, a month"),
        ("overdraft/workspace:acme:daily", None, "workspace acme, a day: overdraft for cheap models"),
        ("requests/0192f0c12b3c7d4e", None, "key 0192f0c12b3c…, requests a minute"),
        ("budget/own name", None, "own name"),
        ("budget/own name", Budget("own name", "workspace", "weekly", 1, None, None, 0.8), "own name, a week"),
    ],
)
def test_a_meter_has_words(meter: str, budget: Budget | None, words: str) -> None:
    assert meter_words(meter, budget) == words


def test_a_budget_says_whether_it_has_room() -> None:
    periods = (
        a_period(spent=10**9), a_period(spent=8 * 10**8), a_period(spent=10**8), a_period(spent=1, written_off=10**9 - 1),
    )  # fmt: skip
    meters = meters_of(Budgets(periods, ()))
    assert [each.text for each in meters.rows] == ["used up", "near its limit", "has room", "used up"]
    assert meters.full == 2


def test_a_budget_without_spend_is_shown_and_one_that_has_begun_only_once() -> None:
    budgets = [
        Budget(name, name.split(":")[0], "daily", 10**9, NOW, NOW, 0.8)
        for name in ("fleet:daily", "workspace:acme:daily")
    ]
    meters = meters_of(Budgets((a_period(),), tuple(budgets)))
    assert [each.name for each in meters.rows] == ["workspace acme, a day", "the whole fleet, a day"]


def test_the_bar_never_leaves_its_frame() -> None:
    bar = str(meters_of(Budgets((a_period(spent=9 * 10**9, leased=10**9),), ())).rows[0].bar)
    assert 'class="over" width="1000"' in bar
    assert 'x="1000" width="0"' in bar
    assert "style" not in bar


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (None, "every request"),
        ({}, "every request"),
        (
            {"taskType": ["code", "fix"], "complexity": {"min": 7}},
            "task type code or fix, and complexity 7 to 10 of 10",
        ),
        ({"contentLength": {"min": 1000}}, "1,000 or more characters"),
        ({"contentLength": {"max": 10}}, "at most 10 characters"),
        ({"not": {"workspace": ["acme"]}}, "not: workspace acme"),
        ({"any_of": [{"tags": ["a"]}, {"tags": ["b"]}]}, "one of: tag a / tag b"),
        ({"timeOfDay": {"from": "22:00", "to": "06:00", "days": ["mon"]}}, "from 22:00 to 06:00 on mon, UTC"),
    ],
)
def test_a_condition_has_words(condition: Any, words: str) -> None:
    assert condition_words(condition) == words


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"policy": "ops"}, "the policy ops"),
        ({"targetModels": [{"modelId": "a", "weight": 3}, {"modelId": "b"}]}, "75% to a, 25% to b"),
        ({"targetModels": [{"modelId": "a"}, {"modelId": "b", "weight": 0}]}, "100% to a, b after a failure"),
        ({"targetModels": [{"modelId": "a"}, {"modelId": "b", "fallbackOrder": 2}],
          "trafficSplit": {"primary": 95, "canary": 5}}, "5% to the canary b, the rest to a"),
        ({}, "no model"),
    ],
)  # fmt: skip
def test_a_rule_has_words(rule: dict[str, Any], words: str) -> None:
    assert rule_words(rule) == words


def test_a_policy_has_words_with_the_least_priority_first() -> None:
    policy = {
        "models": [{"model": "b", "priority": 2}, {"model": "a", "priority": 1}],
        "max_cost_per_task": 0.5,
        "fallback": "ops",
    }
    assert policy_words(policy) == "a, then b: in their order; at most 50¢ for one request; then the policy ops"


def test_the_heading_answers() -> None:
    gateways = [Gateway(f"gw-{number}", 4200, NOW, 1, 300.0) for number in range(3)]
    calm = heading(gateways, targets_of([], []), NOTHING, [a_sum()], seen=True)
    assert (calm.state, calm.headline) == ("good", "3 gateways answer 42 requests a second")
    opened = heading(gateways, targets_of([a_report("p|0a1b2c3d")], []), NOTHING, [a_sum()], seen=True)
    assert (opened.state, opened.headline) == (
        "look", "3 gateways answer 42 requests a second; every model at p is failing over",
    )  # fmt: skip
    failing = heading(gateways, targets_of([], []), NOTHING, [a_sum(at_once=4, failed=6)], seen=True)
    assert failing.state == "bad"
    assert heading([], targets_of([], []), NOTHING, [], seen=False).state == "empty"
    assert (
        heading([], targets_of([], []), NOTHING, [], seen=True).headline
        == "No gateway has answered within five minutes"
    )


def test_requests_without_an_outcome_are_counted_apart() -> None:
    traffic = hour_traffic([a_sum(requests=12, at_once=9, failed=1)], {})
    assert traffic.open == 2


def test_sums_that_cannot_be_read_are_not_no_requests() -> None:
    assert hour_traffic(None, {}).missing == "It cannot be read now."
    assert newest(None, {}, most=10, further=False, is_filtered=True).missing == "They cannot be read now."


def test_a_row_leads_to_its_own_requests_and_keeps_the_other_conditions() -> None:
    traffic = hour_traffic(
        [a_sum(), a_sum("policy", "c&d"), a_sum("policy", None)], {"by": "policy", "workspace": "acme"}
    )
    assert [row.url for row in traffic.hour] == ["/gateway?by=policy&workspace=acme&policy=c%26d", None]
    assert traffic.filtered == "workspace acme"
