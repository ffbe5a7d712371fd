"""Files of experiments: what a treatment leaves out is as in control, and a one-line message for each kind of mistake."""

import json
from typing import Any

import pytest
from support.repository import REPOSITORY

from centralcloud.contracts import SettingsError
from centralcloud.contracts.canary import CanaryPlan
from centralcloud.simulate.experiments.scenario import Comparison, Folding, Outage, Traffic
from centralcloud.simulate.experiments.scenario_file import experiment_from, read_experiment

_EXAMPLES = sorted((REPOSITORY / "examples/experiments").glob("*.json"))
_LEAST: dict[str, Any] = {"control": {"success": 0.95}, "treatments": {"new": {}}}


def test_the_defaults_are_those_of_a_canary_of_the_fleet() -> None:
    experiment = experiment_from(_LEAST)
    assert experiment.plan == CanaryPlan()
    assert (experiment.traffic, experiment.folding) == (Traffic(), Folding())
    assert (experiment.metrics, experiment.strata, experiment.length, experiment.look) == (("success",), 1, 86_400, 60)
    assert experiment.arms[0] == experiment.arms[1]


def test_every_key_of_a_canary() -> None:
    experiment = experiment_from(
        {
            "about": "all of it",
            "kind": "canary",
            "control": {
                "success": {"simple": 0.97, "complex": 0.8},
                "latency_ms": 1500,
                "cost_usd": {"simple": 0.001, "complex": 0.004},
                "delay_seconds": {"success": 5, "failure": 60},
                "lost": {"failure": 0.1},
            },
            "treatments": {"new": {"latency_ms": {"simple": 900, "complex": 2000}}, "late": {"delay_seconds": {}}},
            "traffic": {
                "sessions_per_minute": 30,
                "requests_per_session": 2.5,
                "seconds_between_requests": 20,
                "likeness": 0.3,
                "complexities": {"simple": 3, "complex": 1},
                "latency_spread": 0.8,
                "cost_spread": 0.2,
            },
            "outages": [
                {"arm": "late", "from_minute": 50, "minutes": 2},
                {"arm": "all", "from_minute": 60, "minutes": 10, "success": 0.75},
            ],
            "drift": {"swing": 0.05, "period_minutes": 600},
            "plan": {
                "steps": [0.1, 0.5],
                "margin": 0.01,
                "retries": 0,
                "requireBetter": False,
                "holdSeconds": 3600,
                "idleSeconds": 900,
                "outcomeWithinSeconds": 90,
                "latencyCapMs": 20_000,
                "costCapUsd": 0.2,
            },
            "minutes": 600,
            "look_seconds": 15,
        }
    )
    control, new, late = experiment.arms
    assert (control.success, control.latency_ms, control.cost_usd) == ((0.97, 0.8), (1500, 1500), (0.001, 0.004))
    assert (control.success_delay, control.failure_delay, control.failure_lost) == (5, 60, 0.1)
    assert (new.success, new.latency_ms, new.failure_delay) == (control.success, (900, 2000), 60)
    assert (late.latency_ms, late.failure_delay) == (control.latency_ms, 0)
    assert experiment.traffic == Traffic(
        sessions_per_minute=30,
        requests_per_session=2.5,
        request_gap=20,
        likeness=0.3,
        complexities=(3, 1),
        latency_spread=0.8,
        cost_spread=0.2,
    )
    assert experiment.outages == (
        Outage(arms=frozenset({2}), from_minute=50, until_minute=52, success=0.0),
        Outage(arms=frozenset({0, 1, 2}), from_minute=60, until_minute=70, success=0.75),
    )
    assert (experiment.drift_swing, experiment.drift_period) == (0.05, 36_000)
    assert (experiment.folding, experiment.metrics) == (Folding(idle=900, wait=90), ("success", "latency", "cost"))
    assert (experiment.latency_cap_ms, experiment.cost_cap_usd) == (20_000, 0.2)
    assert experiment.plan == CanaryPlan(steps=(0.1, 0.5), margin=0.01, retries=0, win_needed=False, hold_seconds=3600)
    assert (experiment.length, experiment.look) == (36_000, 15)


def test_each_treatment_of_a_canary_is_one_of_its_own() -> None:
    outages = [{"arm": arm, "from_minute": 1, "minutes": 1} for arm in ("control", "late", "all")]
    treatments = {"new": {}, "late": {"success": 0.5}}
    experiment = experiment_from({**_LEAST, "treatments": treatments, "outages": outages})
    first, second = experiment.canary_of(0), experiment.canary_of(1)
    assert (first.names, second.names) == (("new",), ("late",))
    assert second.arms == (experiment.arms[0], experiment.arms[2])
    assert [sorted(each.arms) for each in first.outages] == [[0], [0, 1]]
    assert [sorted(each.arms) for each in second.outages] == [[0], [1], [0, 1]]


def test_arms_of_an_ab_test_have_equal_shares() -> None:
    experiment = experiment_from({**_LEAST, "kind": "ab", "treatments": {"a": {}, "b": {}}})
    assert experiment.plan == Comparison(share=1 / 3)


@pytest.mark.parametrize("path", _EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_experiments(path: Any) -> None:
    assert read_experiment(path).names
    assert json.loads(path.read_text())["about"]


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"kind": "comparison"}, "kind: found \"comparison\", expected 'canary' or 'ab'"),
        ({"control": {}}, "control.success: found nothing, expected a value"),
        ({"treatments": {}}, "treatments: found an object of 0 keys, expected at least 1 item"),
        ({"treatment": {}}, 'scenario: found the key "treatment", expected one of about, kind, control, treatments,'),
        ({"treatments": {"new": {"sucess": 1}}}, 'treatments.new: found the key "sucess", expected one of success,'),
        (
            {"treatments": {"new": {"success": 1.5}}},
            "treatments.new.success: found 1.5, expected less than or equal to 1",
        ),
        (
            {"treatments": {"new": {"lost": {"all": 1}}}},
            'treatments.new.lost: found the key "all", expected one of succ',
        ),
        (
            {"treatments": {"new": {"success": {"simple": 1}}}},
            "treatments.new.success: found an object of 1 keys, expected one number, or",
        ),
        (
            {"treatments": {"new": {"latency_ms": 5}}},
            "treatments.new.latency_ms: found 5.0, expected control.latency_ms, too",
        ),
        ({"treatments": {"all": {}}}, 'treatments: found "all", expected a name other than all and control'),
        (
            {"control": {"success": 1.0, "cost_usd": 0.2}},
            "control.cost_usd: found 0.2, expected less than plan.costCapUsd",
        ),
        (
            {"outages": [{"arm": "old", "from_minute": 1, "minutes": 1}]},
            'outages[0].arm: found "old", expected one of all, control, new',
        ),
        ({"plan": {"steps": [0.5, 0.1]}}, "plan.steps[1]: found 0.1, expected more than 0.5, the step before"),
        ({"plan": {"steps": [0.6]}}, "plan.steps[0]: found 0.6, expected less than or equal to 0.5"),
        ({"plan": {"win_needed": True}}, 'plan: found the key "win_needed", expected one of alpha, latencyCapMs,'),
        (
            {"kind": "ab", "plan": {"margin": 0.5}},
            'plan: found the key "margin", expected one of alpha, latencyCapMs,',
        ),
        ({"kind": "ab", "plan": {"steps": [1.0]}}, "plan.steps[0]: found 1.0, expected less than 1"),
        (
            {"kind": "ab", "plan": {"steps": [0.5]}, "treatments": {"a": {}, "b": {}}},
            "plan.steps[0]: found 0.5, expected less than 0.5 for each of 2 treatments",
        ),
        (
            {"traffic": {"complexities": {"hard": 1}}},
            'traffic.complexities: found "hard", expected some of simple, medium,',
        ),
        (
            {"traffic": {"complexities": {}}},
            "traffic.complexities: found an object of 0 keys, expected at least 1 item",
        ),
        (
            {"traffic": {"complexities": {"simple": 1, "complex": 1}}, "control": {"success": {"simple": 0.5}}},
            "control.success: found a list of 1 items, expected a number for each of simple, complex",
        ),
        (
            {"traffic": {"complexities": {"simple": 1}}, "control": {"success": {"complex": 0.5}}},
            'control.success: found "complex", expected complexities of the traffic: simple',
        ),
        (
            {"traffic": {"seconds_between_requests": 300}},
            "traffic.seconds_between_requests: found 300.0, expected at most 37.5, an eighth of plan.idleSeconds",
        ),
    ],
)
def test_a_mistake_names_its_place(changed: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SettingsError) as raised:
        experiment_from({**_LEAST, **changed}, place="file.json")
    assert str(raised.value).startswith(f"file.json: {complaint}")
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_an_object_is_refused() -> None:
    with pytest.raises(SettingsError, match="expected an object with control and treatments"):
        experiment_from([])
