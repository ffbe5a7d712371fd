"""Scenario files: models named by rank, and a one-line message for each kind of mistake."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.outcomes import a_table
from support.repository import REPOSITORY

from centralcloud.contracts import SettingsError
from centralcloud.simulate.outcomes import OutcomeFile
from centralcloud.simulate.scenario import Delay, Missing, Weights
from centralcloud.simulate.scenario_file import read_scenario, scenario_from

EXAMPLES = sorted((REPOSITORY / "examples/scenarios").glob("*.json"))
PHASES = [{"events": 100}]


@pytest.fixture
def outcomes(tmp_path: Path) -> OutcomeFile:
    return a_table(tmp_path)


def test_every_key(outcomes: OutcomeFile) -> None:
    scenario = scenario_from(
        {
            "about": "all of it",
            "models": ["good", "fair", "poor"],
            "instances": 4,
            "tick": [50, 10],
            "phases": [
                {"events": 100},
                {
                    "events": 60,
                    "serve": {"good": "bad"},
                    "absent": ["poor"],
                    "slow": {"fair": 6.0},
                    "price": {"good": 0.5},
                    "outage": ["fair"],
                },
                {"events": 5, "serve": {"good": {"complex": "@worst"}}},
            ],
            "complexities": {"simple": 3, "complex": 1},
            "task_types": 8,
            "delay": {"success": 20, "failure": 400},
            "missing": {"latency": 0.25, "cost": 1},
            "poison": [{"instance": 3, "kind": "drip", "from_event": 20}],
            "weights": {"latency": 0.2, "latency_ref_ms": 5000, "cost": 0.3, "cost_ref_usd": 0.5},
        },
        outcomes,
    )
    assert scenario.models == ("good", "fair", "poor")
    assert scenario.answering == ("good", "fair", "poor", "bad")
    assert scenario.events == 165
    assert scenario.phases[1].serve == {"good": dict.fromkeys(("simple", "medium", "complex"), "bad")}
    assert scenario.phases[2].serve == {"good": {"complex": "poor"}}
    assert scenario.phases[1].price == {"good": 0.5}
    assert scenario.ticks == (50, 10)
    assert scenario.complexities == {"simple": 0.75, "complex": 0.25}
    assert (scenario.delay, scenario.task_types) == (Delay(success=20, failure=400), 8)
    assert scenario.missing == Missing(latency=0.25, cost=1)
    assert scenario.phases[1].absent == {"poor"}
    assert scenario.phases[1].slow == {"fair": 6.0}
    assert scenario.phases[1].outage == {"fair"}
    assert (scenario.adversaries[0].instance, scenario.adversaries[0].from_event) == (3, 20)
    assert scenario.weights == Weights(latency=0.2, latency_ref_ms=5000, cost=0.3, cost_ref_usd=0.5)


def test_defaults_are_those_of_the_daemon(outcomes: OutcomeFile) -> None:
    scenario = scenario_from({"phases": PHASES}, outcomes)
    assert scenario.models == ("good", "fair", "poor", "bad")
    assert (scenario.instances, scenario.ticks, scenario.adversaries) == (10, (200,), ())
    assert (scenario.delay, scenario.missing, scenario.complexities) == (Delay(), Missing(), {})
    assert scenario.weights == Weights(latency=0.1, latency_ref_ms=10_000, cost=0.0, cost_ref_usd=0.01)


def test_models_can_be_named_by_rank(outcomes: OutcomeFile) -> None:
    phases = [{"events": 1, "serve": {"@best": "@worst"}, "outage": ["@2"], "absent": ["@50%"]}]
    scenario = scenario_from({"models": ["@worst", "@best", "@2", "@3"], "phases": phases}, outcomes)
    assert scenario.models == ("bad", "good", "fair", "poor")
    assert scenario.phases[0].serve["good"]["complex"] == "bad"
    assert scenario.phases[0].outage == {"fair"}
    assert scenario.phases[0].absent == {"poor"}


def test_ranks_in_phases_are_those_among_the_models_of_the_scenario(outcomes: OutcomeFile) -> None:
    scenario = scenario_from({"models": ["fair", "poor"], "phases": [{"events": 1, "outage": ["@best"]}]}, outcomes)
    assert scenario.phases[0].outage == {"fair"}


def test_two_ranks_that_are_the_same_model_name_it_once(tmp_path: Path) -> None:
    outcomes = a_table(tmp_path, {"a": (0.9, 0.9, 0.9), "b": (0.1, 0.1, 0.1)})
    written = {"models": ["@best", "@25%", "@50%", "@75%", "@worst"], "phases": PHASES}
    assert scenario_from(written, outcomes).models == ("a", "b")


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ([], r"found a list of 0 items, expected an object with phases"),
        ({}, r"phases: found nothing, expected a value"),
        ({"phases": []}, r"phases: found a list of 0 items, expected at least 1 item$"),
        ({"phases": {}}, r"phases: found an object of 0 keys, expected a valid list"),
        ({"phases": [3]}, r"phases\[0\]: found 3, expected an object"),
        ({"phases": PHASES, "model": []}, r'scenario: found the key "model", expected one of about, models, instances'),
        ({"phases": [{"event": 3}]}, r"phases\[0\].events: found nothing, expected a value"),
        ({"phases": [{"events": 3, "slaw": {}}]}, r'phases\[0\]: found the key "slaw", expected one of events, serve'),
        ({"phases": [{"events": 0}]}, r"phases\[0\].events: found 0, expected greater than or equal to 1"),
        ({"phases": [{"events": "9"}]}, r'phases\[0\].events: found "9", expected a valid integer'),
        ({"phases": [{"events": 1.5}]}, r"phases\[0\].events: found 1.5, expected a valid integer"),
        ({"phases": [{"events": True}]}, r"phases\[0\].events: found true, expected a valid integer"),
        ({"phases": PHASES, "tick": 0}, r"tick: found 0, expected greater than or equal to 1"),
        ({"phases": PHASES, "tick": []}, r"tick: found a list of 0 items, expected at least 1 item"),
        ({"phases": PHASES, "tick": [5, 0]}, r"tick\[1\]: found 0, expected greater than or equal to 1"),
        ({"phases": PHASES, "tick": "9"}, r'tick: found "9", expected a valid integer'),
        (
            {"phases": [{"events": 1, "serve": {"good": {"hard": "bad"}}}]},
            r'phases\[0\].serve.good: found "hard", expected complexities of the table: simple, medium, complex',
        ),
        (
            {"phases": [{"events": 1, "serve": {"good": {"complex": "nice"}}}]},
            r'phases\[0\].serve.good.complex: found "nice", expected one of the models of the table',
        ),
        (
            {"phases": [{"events": 1, "serve": {"good": 3}}]},
            r"phases\[0\].serve.good: found 3, expected a valid string",
        ),
        (
            {"phases": [{"events": 1, "serve": {"good": {"complex": 3}}}]},
            r"phases\[0\].serve.good.complex: found 3, expected a valid string",
        ),
        (
            {"phases": [{"events": 1, "price": {"nice": 2}}]},
            r'phases\[0\].price: found "nice", expected one of the models',
        ),
        (
            {"phases": [{"events": 1, "price": {"good": -2}}]},
            r"phases\[0\].price.good: found -2, expected greater than or",
        ),
        (
            {"phases": PHASES, "complexities": {"hard": 1}},
            r'complexities: found "hard", expected complexities of the table',
        ),
        ({"phases": PHASES, "complexities": {"simple": 0}}, r"complexities: found no share above 0, expected one"),
        (
            {"phases": PHASES, "complexities": {"simple": -1}},
            r"complexities.simple: found -1, expected greater than or",
        ),
        ({"phases": PHASES, "delay": {"mean": 3}}, r'delay: found the key "mean", expected one of success, failure'),
        ({"phases": PHASES, "delay": {"failure": -1}}, r"delay.failure: found -1, expected greater than or equal to 0"),
        ({"phases": PHASES, "delay": 3}, r"delay: found 3, expected an object"),
        ({"phases": PHASES, "missing": {"time": 1}}, r'missing: found the key "time", expected one of latency, cost'),
        ({"phases": PHASES, "missing": {"cost": 2}}, r"missing.cost: found 2, expected less than or equal to 1"),
        ({"phases": PHASES, "task_types": 32}, r"task_types: found 32, expected less than or equal to 31"),
        ({"phases": PHASES, "instances": 0}, r"instances: found 0, expected greater than or equal to 1"),
        ({"phases": PHASES, "models": []}, r"models: found a list of 0 items, expected at least 1 item"),
        ({"phases": PHASES, "models": "good"}, r'models: found "good", expected a valid list'),
        (
            {"phases": PHASES, "models": ["nice"]},
            r'models\[0\]: found "nice", expected one of the models of the table: bad',
        ),
        ({"phases": PHASES, "models": ["good", "good"]}, r'models\[1\]: found "good", expected each model once'),
        ({"phases": PHASES, "models": ["@9"]}, r'models\[0\]: found "@9", expected a rank from 1 to 4'),
        ({"phases": PHASES, "models": ["@0"]}, r'models\[0\]: found "@0", expected a rank from 1 to 4'),
        (
            {"phases": [{"events": 1, "serve": {"nice": "bad"}}]},
            r'phases\[0\].serve: found "nice", expected one of the mod',
        ),
        (
            {"phases": [{"events": 1, "serve": {"good": "nice"}}]},
            r'phases\[0\].serve.good: found "nice", expected one of',
        ),
        (
            {"phases": [{"events": 1, "serve": ["good"]}]},
            r"phases\[0\].serve: found a list of 1 items, expected an object",
        ),
        (
            {"phases": [{"events": 1, "absent": ["nice"]}]},
            r'phases\[0\].absent\[0\]: found "nice", expected one of the',
        ),
        (
            {"phases": [{"events": 1, "outage": ["nice"]}]},
            r'phases\[0\].outage\[0\]: found "nice", expected one of the',
        ),
        (
            {"phases": [{"events": 1, "slow": {"nice": 2}}]},
            r'phases\[0\].slow: found "nice", expected one of the models',
        ),
        (
            {"phases": [{"events": 1, "slow": {"good": -2}}]},
            r"phases\[0\].slow.good: found -2, expected greater than or",
        ),
        (
            {"models": ["good"], "phases": [{"events": 1, "absent": ["good"]}]},
            r"phases\[0\].absent: found every model, expected one to be left",
        ),
        (
            {"models": ["good"], "phases": [{"events": 1, "absent": ["bad"]}]},
            r'phases\[0\].absent\[0\]: found "bad", expected one of the models of the scenario: good',
        ),
        (
            {"phases": PHASES, "poison": [{"instance": 10, "kind": "drip"}]},
            r"poison\[0\].instance: found 10, expected 0 to 9",
        ),
        (
            {"phases": PHASES, "poison": [{"instance": -1, "kind": "drip"}]},
            r"poison\[0\].instance: found -1, expected gr",
        ),
        (
            {"phases": PHASES, "poison": [{"instance": 1, "kind": "lie"}]},
            r'poison\[0\].kind: found "lie", expected \'all_f',
        ),
        ({"phases": PHASES, "poison": [{"kind": "drip"}]}, r"poison\[0\].instance: found nothing, expected a value"),
        (
            {"phases": PHASES, "poison": [{"instance": 1, "kind": "drip"}, {"instance": 1, "kind": "flood"}]},
            r"poison\[1\].instance: found 1, expected each instance once",
        ),
        ({"phases": PHASES, "weights": {"latency": 2}}, r"weights.latency: found 2, expected less than or equal to 1"),
        (
            {"phases": PHASES, "weights": {"speed": 2}},
            r'weights: found the key "speed", expected one of latency, latency_',
        ),
        ({"phases": PHASES, "weights": {"cost_ref_usd": 0}}, r"weights.cost_ref_usd: found 0, expected greater than 0"),
        ({"phases": PHASES, "weights": None}, r"weights: found null, expected an object"),
    ],
)
def test_a_mistake_gets_one_line(outcomes: OutcomeFile, written: Any, complaint: str) -> None:
    with pytest.raises(SettingsError, match=rf"^s\.json: {complaint}") as refusal:
        scenario_from(written, outcomes, place="s.json")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", r"line 1, column 1: found invalid JSON"),
        (b'{"phases": [,]}', r"line 1, column 13: found invalid JSON"),
        (b'{"tick": 1, "tick": 2}', r'found the key "tick" twice in one object'),
        (b'{"tick": NaN}', r"found the number NaN, expected JSON"),
        (b"\xff", r"found a byte that is not UTF-8"),
        (b"[" * 100_000, r"found .*, expected JSON"),
    ],
)
def test_invalid_json_is_refused(outcomes: OutcomeFile, tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "s.json"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=complaint):
        read_scenario(path, outcomes)


def test_a_missing_file_is_named(outcomes: OutcomeFile, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read .*none\.json: No such file"):
        read_scenario(tmp_path / "none.json", outcomes)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_scenarios_work_with_any_table(outcomes: OutcomeFile, path: Path) -> None:
    assert read_scenario(path, outcomes).events > 0
    assert json.loads(path.read_text())["about"].endswith(".")
