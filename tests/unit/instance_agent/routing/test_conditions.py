"""Conditions of rules: each kind true and false, nested ones, and the parts of the day."""

from datetime import UTC, datetime
from typing import Any

import pytest
from support.planning import a_planner, model, names, request, snapshot
from support.routing_rules import compiled, rule

from instance_agent.routing.request import RoutingRequest
from instance_agent.routing.task import TaskHints

KNOWN = snapshot(model("usual", 5.0), model("ruled", 1.0))
#: Monday 23 November 2026, 12:00 UTC.
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
_HOUR = 3600.0


def holds(condition: dict[str, Any], asked: RoutingRequest) -> bool:
    """Whether a plan follows a rule with this condition."""
    rules = compiled(KNOWN, rules=[rule("r", "ruled", condition=condition)])
    plan = a_planner().plan(asked, KNOWN, rules=rules)
    assert (plan.rule == "r") == (names(plan)[0] == "ruled")
    return plan.rule == "r"


def asked(level: str = "medium", complexity: int | None = None, **fields: Any) -> RoutingRequest:
    hints = {name: fields.pop(name) for name in ("agent_type", "task_type") if name in fields}
    return RoutingRequest(headers=TaskHints(level=level, complexity=complexity, **hints), **fields)


@pytest.mark.parametrize(
    ("condition", "fulfils", "does_not"),
    [
        ({"agentType": ["creative", "x"]}, {"agent_type": "creative"}, {"agent_type": "coder"}),
        ({"agentType": ["creative"]}, {"agent_type": "creative"}, {}),
        ({"requestType": ["completion"]}, {"request_type": "completion"}, {"request_type": "chat"}),
        ({"workspace": ["acme"]}, {"workspace": "acme"}, {"workspace": "other"}),
        ({"taskType": ["fix_bug"]}, {"task_type": "fix_bug"}, {"task_type": "analysis"}),
        ({"contentLength": {"min": 100}}, {"characters": 100}, {"characters": 99}),
        ({"contentLength": {"max": 2000}}, {"characters": 2000}, {"characters": 2001}),
        ({"contentLength": {"min": 100, "max": 2000}}, {"characters": 150}, {"characters": 9}),
        ({"complexity": {"min": 7}}, {"level": "complex", "complexity": 7}, {"level": "medium", "complexity": 6}),
        ({"complexity": {"min": 8, "max": 8}}, {"level": "complex"}, {"level": "medium"}),
        ({"complexity": {"max": 2}}, {"level": "simple"}, {"level": "simple", "complexity": 3}),
        ({"complexity": ["simple", "medium"]}, {"level": "simple", "complexity": 1}, {"level": "complex"}),
        ({"tags": ["eu", "gdpr"]}, {"tags": ("x", "gdpr")}, {"tags": ("x",)}),
        ({"tags": ["eu"]}, {"tags": ("eu",)}, {}),
        ({"agentType": ["a"], "tags": ["t"]}, {"agent_type": "a", "tags": ("t",)}, {"agent_type": "a"}),
        ({"agentType": ["a"], "tags": ["t"], "workspace": ["w"]}, {"agent_type": "a", "tags": ("t",), "workspace": "w"},
         {"agent_type": "b", "tags": ("t",), "workspace": "w"}),
        ({"any_of": [{"tags": ["t"]}, {"workspace": ["w"]}]}, {"workspace": "w"}, {"workspace": "v"}),
        ({"not": {"agentType": ["a"]}}, {"agent_type": "never seen"}, {"agent_type": "a"}),
        ({"not": {"any_of": [{"tags": ["t"]}, {"not": {"workspace": ["w"]}}]}}, {"workspace": "w"}, {}),
    ],
)  # fmt: skip
def test_each_kind_of_condition_holds_and_does_not(
    condition: dict[str, Any], fulfils: dict[str, Any], does_not: dict[str, Any]
) -> None:
    assert holds(condition, asked(**fulfils))
    assert not holds(condition, asked(**does_not))


def test_a_condition_without_fields_holds_for_every_request() -> None:
    assert holds({}, asked())


@pytest.mark.parametrize(
    ("part", "hours", "expected"),
    [
        ({"from": "12:00", "to": "13:00"}, 0, True),
        ({"from": "12:00", "to": "13:00"}, 1, False),
        ({"from": "13:00", "to": "14:00", "timezone": "Europe/Berlin"}, 0, True),
        ({"from": "12:00", "to": "13:00", "timezone": "Europe/Berlin"}, 0, False),
        ({"from": "12:00", "to": "13:00", "days": ["mon"]}, 0, True),
        ({"from": "12:00", "to": "13:00", "days": ["tue"]}, 0, False),
        ({"from": "22:00", "to": "06:00", "days": ["mon"]}, 10, True),
        ({"from": "22:00", "to": "06:00", "days": ["mon"]}, 17.5, True),  # Tuesday 05:30 belongs to Monday's night
        ({"from": "22:00", "to": "06:00", "days": ["mon"]}, -6.5, False),  # Monday 05:30 belongs to Sunday's
        ({"from": "22:00", "to": "06:00", "days": ["sun"]}, -6.5, True),
        ({"from": "22:00", "to": "06:00"}, 18, False),
        ({"from": "00:00", "to": "00:00"}, 5, True),
    ],
)  # fmt: skip
def test_a_part_of_the_day_is_compared_with_the_clock_of_its_zone(
    part: dict[str, Any], hours: float, expected: bool
) -> None:
    assert holds({"timeOfDay": part}, asked(at=NOON + hours * _HOUR)) is expected


def test_the_clock_moves_on_for_the_same_rules() -> None:
    rules = compiled(KNOWN, rules=[rule("r", "ruled", condition={"timeOfDay": {"from": "12:00", "to": "13:00"}})])
    planner = a_planner()
    found = [
        planner.plan(asked(at=NOON + minutes * 60.0), KNOWN, rules=rules).rule for minutes in (-1, 0, 59, 60, 1440)
    ]
    assert found == [None, "r", "r", None, "r"]


def test_values_that_no_condition_names_do_not_fill_the_memory() -> None:
    rules = compiled(KNOWN, rules=[rule("r", "ruled", condition={"agentType": ["a"], "contentLength": {"min": 10}})])
    planner = a_planner()
    for number in range(300):
        invented = asked(agent_type=f"a{number}", task_type=f"t{number}", tags=(f"x{number}",), characters=number)
        planner.plan(invented, KNOWN, rules=rules)
    assert len(rules._decided) <= 2
    assert len(planner._state._eligible) == 1  # type: ignore[union-attr]


def test_the_first_rule_by_priority_counts_and_then_the_least_id() -> None:
    entries = [rule("b", "usual", priority=5), rule("a", "ruled", priority=5), rule("0", "usual", priority=4)]
    off = rule("z", "usual", priority=9, enabled=False)
    narrow = rule("y", "usual", priority=8, condition={"tags": ["t"]})
    rules = compiled(KNOWN, rules=[*entries, off, narrow])
    assert a_planner().plan(request(), KNOWN, rules=rules).rule == "a"
    assert a_planner().plan(request(tags=("t",)), KNOWN, rules=rules).rule == "y"
