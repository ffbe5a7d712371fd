"""Experiments in a process that calls models itself: those of the gateway's state folder, with the arms of the fleet."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from support.experiment_entries import an_experiment
from support.routing_rules import policy

from centralcloud.contracts.fleet_configuration import parse_experiment, parse_policy, put
from instance_agent.client import decisions as client_decisions
from instance_agent.client.decisions import Decisions
from instance_agent.client.request import read_request
from instance_agent.client.router import IntelligentModelRouter
from instance_agent.routing.plan import Plan
from instance_agent.settings import ClientSettings
from instance_agent.sync.configuration_file import ConfigurationFile, ReceivedConfiguration

_CATALOG = """
providers:
  - {provider: alpha, dialect: openai, base_url: "http://127.0.0.1:1/v1"}
models:
  - {name: a, provider: alpha, complexity_scores: {simple: 5, medium: 5, complex: 5}}
  - {name: b, provider: alpha, complexity_scores: {simple: 1, medium: 1, complex: 1}}
"""
#: Callers' sessions whose keys are in the treatment, and in control, of e1 with the salt.
TREATED, CONTROL = "session-10", "session-0"


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(_CATALOG)
    monkeypatch.setenv("INSTANCE_AGENT_CATALOG", str(catalog))
    monkeypatch.setenv("INSTANCE_AGENT_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("INSTANCE_ID", "library")
    monkeypatch.setattr(client_decisions, "_LOOK_SECONDS", 0.0)


def received(folder: Path, version: int, *treatments: dict[str, Any], seen: float = 10.0, **fields: Any) -> None:
    """Write the files that a gateway keeps: an experiment, the policy fast, and when the daemon was seen, in seconds."""
    entries = [put(parse_policy(policy("fast", "b", "a"))), put(parse_experiment(an_experiment(*treatments, **fields)))]
    bodies = {(each.kind, each.id): each.body for each in entries if each.body is not None}
    ConfigurationFile(folder).write(ReceivedConfiguration(epoch="e", version=version, stamp="s", bodies=bodies))
    (folder / "experiments_seen").touch()
    os.utime(folder / "experiments_seen", (time.time() - seen,) * 2)


def planned(decisions: Decisions, session: str, **context: Any) -> Plan:
    request = read_request("Say hello", context={"session": session, **context})
    state = decisions.current()
    return decisions.plan(decisions.routing_of(request, state, "r"), state)


def decisions_of(tmp_path: Path) -> Decisions:
    settings = ClientSettings()
    return Decisions(settings, settings.catalog)


@pytest.mark.parametrize("treatment", [{"name": "new", "model": "b"}, {"name": "new", "policy": "fast"}])
def test_sessions_of_the_treatment_are_served_by_it(tmp_path: Path, treatment: dict[str, Any]) -> None:
    received(tmp_path, 1, treatment)
    decisions = decisions_of(tmp_path)
    for _ in range(10):
        treated, control = planned(decisions, TREATED), planned(decisions, CONTROL)
        assert (treated.first.target.model.name, treated.arm, treated.arm_share) == ("b", "new", 0.5)
        assert (control.first.target.model.name, control.arm, control.arm_share) == ("a", "control", 0.5)


def test_a_change_of_the_gateways_file_is_followed(tmp_path: Path) -> None:
    decisions = decisions_of(tmp_path)
    assert planned(decisions, TREATED).experiment is None
    received(tmp_path, 1, {"name": "new", "model": "b"})
    assert planned(decisions, TREATED).arm == "new"
    received(tmp_path, 2, {"name": "new", "model": "b"}, stage={"status": "paused"})
    assert (planned(decisions, TREATED).arm, planned(decisions, TREATED).arm_share) == ("control", None)
    ConfigurationFile(tmp_path).path.write_text("damaged")
    assert planned(decisions, TREATED).experiment is None


def test_a_daemon_that_no_gateway_has_seen_of_late_ends_treatments(tmp_path: Path) -> None:
    received(tmp_path, 1, {"name": "new", "model": "b"}, seen=1000.0)
    decisions = decisions_of(tmp_path)
    assert (planned(decisions, TREATED).arm, planned(decisions, TREATED).arm_share) == ("control", None)
    os.utime(tmp_path / "experiments_seen")
    assert planned(decisions, TREATED).arm == "new"


def test_a_model_that_the_caller_names_is_in_it_only_where_the_scope_has_it(tmp_path: Path) -> None:
    received(tmp_path, 1, {"name": "new", "model": "b"})
    decisions = decisions_of(tmp_path)
    assert planned(decisions, TREATED, force_model="a").experiment is None
    received(tmp_path, 2, {"name": "new", "model": "b"}, scope={"requestedModels": ["a"]})
    assert planned(decisions, TREATED, force_model="a").arm == "new"
    assert planned(decisions, TREATED).experiment is None


def test_the_decision_of_the_router_names_the_arm(tmp_path: Path) -> None:
    received(tmp_path, 1, {"name": "new", "model": "b"})
    router = IntelligentModelRouter()
    found = router.route("Say hello", context={"session": TREATED})
    assert (found["model"], found["experiment"], found["arm"], found["forced"]) == ("b", "e1", "new", False)
    assert found["reasoning"].startswith('the treatment "new" of the experiment "e1"')
