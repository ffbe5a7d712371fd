"""Experiments over HTTP: start, show, and change their stages."""

import os
from collections.abc import Iterator

import pytest
from support.gateways import Gateway, a_catalog, a_key, start_gateway
from support.programs import programs_in
from support.servers import execute, new_database
from support.upstream.process import FakeUpstream

from instance_agent.gateway.openapi.operations import OPERATIONS

EXAMPLE = OPERATIONS["POST", "/api/experiments"].example


@pytest.fixture(scope="module")
def configured(server: str, template: str) -> Iterator[str]:
    with new_database(server, template) as url:
        yield url


@pytest.fixture(scope="module")
def admin(
    configured: str, running_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway whose catalog has gpt-4o-mini, called with a key of the role admin."""
    folder = tmp_path_factory.mktemp("experiments-api")
    catalog = a_catalog(folder, running_upstream)
    catalog.write_text(catalog.read_text().replace('{"claude-*": auto}', '{"gpt-4o-mini": gpt}'))
    key = a_key(configured, "admin")
    with programs_in(folder) as start:
        variables = {"INSTANCE_AGENT_CATALOG": os.fspath(catalog)}
        yield start_gateway(start, folder, running_upstream, configured, key=key, **variables)


def test_an_experiment_is_started_shown_changed_and_logged(admin: Gateway, configured: str) -> None:
    created = admin.call("POST", "/api/experiments", {**EXAMPLE, "reason": "cheaper"})
    assert created.status == 201, created.body
    path, experiment = created.headers["location"], created.json()["experiment"]
    assert path == f"/api/experiments/{experiment['id']}"
    assert (experiment["stage"]["share"], experiment["plan"]["steps"]) == (0.01, [0.01, 0.05, 0.25, 0.5])
    assert created.json()["notes"] == []
    assert admin.call("GET", "/api/experiments").json() == {"experiments": [experiment], "count": 1}
    report = admin.call("GET", path).json()
    assert [each["condition"] for each in report.pop("waits_for")] == ["dwell", "treated", "loss"]
    (guards,) = report.pop("guards")
    assert (guards["treatment"], [each["needed"] for each in guards["conditions"]]) == ("gpt-4o-mini", [200.0] * 3)
    assert report == {"experiment": experiment, "results": [], "verdicts": [], "seen_at": None}

    statuses = []
    for change in ("pause", "resume", "stop"):
        reply = admin.call("POST", f"{path}/{change}", {"reason": "as agreed"})
        assert reply.status == 200, reply.body
        statuses.append(reply.json()["experiment"]["stage"]["status"])
        shown = admin.call("GET", path).json()["experiment"]
        assert shown == reply.json()["experiment"], "this replica uses it"
    assert statuses == ["paused", "running", "stopped"]
    refused = admin.call("POST", f"{path}/promote")
    assert (refused.status, refused.error["code"]) == (409, "experiment_state")
    assert admin.call("DELETE", path).json() == {"id": experiment["id"], "deleted": True}
    assert admin.call("DELETE", path).status == 404
    log = execute(configured, "SELECT via, subject, reason FROM operator_actions WHERE via = 'api' ORDER BY id")
    subject = f"experiment/{experiment['id']}"
    assert log == [("api", subject, "cheaper"), *[("api", subject, "as agreed")] * 3, ("api", subject, None)]


def test_the_second_attempt_says_that_alpha_is_halved_and_a_promotion_names_its_winner(admin: Gateway) -> None:
    """After the first test: the same treatment in another scope would be the first one."""
    other = {**EXAMPLE, "scope": {"complexities": ["medium"]}, "kind": "ab"}
    other["treatments"] = [{"model": "gpt-4o-mini"}, {"model": "opus"}]
    first, second = (admin.call("POST", "/api/experiments", other).json() for _ in range(2))
    assert first["experiment"]["plan"]["alpha"] == 0.05
    assert second["experiment"]["plan"]["alpha"] == 0.025
    assert second["notes"][0].startswith("experiment number 2 of this treatment and scope")
    path = f"/api/experiments/{second['experiment']['id']}/promote"
    unclear = admin.call("POST", path)
    assert "has 2 treatments, expected the name of one" in unclear.error["message"]
    assert admin.call("DELETE", path.removesuffix("/promote")).error["code"] == "experiment_state", "it runs"
    wrong = admin.call("POST", path, {"treatment": "opus", "hold": "yes"})
    assert (wrong.status, wrong.error["field"]) == (422, "hold")
    refused = admin.call("POST", path, {"treatment": "opus", "hold": True})
    assert (refused.status, "it is an A/B test" in refused.error["message"]) == (409, True)
    stage = admin.call("POST", path, {"treatment": "opus"}).json()["experiment"]["stage"]
    assert (stage["status"], stage["winner"], stage["byHand"]) == ("promoted", "opus", True)


def test_the_split_of_a_rule_becomes_an_experiment(admin: Gateway) -> None:
    rule = {
        "name": "Reviewers",
        "targetModels": [{"modelId": "gpt-4o-mini"}, {"modelId": "opus", "fallbackOrder": 2}],
        "trafficSplit": {"primary": 90, "canary": 10},
    }
    path = admin.call("POST", "/api/routing/rules", rule).headers["location"]
    begun = admin.call("POST", "/api/experiments", {"rule": "Reviewers"}).json()["experiment"]
    assert (begun["name"], begun["plan"]["steps"]) == ("canary of Reviewers", [0.01, 0.05, 0.1])
    assert "trafficSplit" not in admin.call("GET", path).json()


@pytest.mark.parametrize(
    ("path", "body", "status", "field", "words"),
    [
        ("", {"treatments": [{"model": "opus"}]}, 422, "name", "expected a value"),
        ("", {**EXAMPLE, "treatments": [{"model": "opuss"}]}, 422, "treatments[0].model", "such as opus"),
        ("", {**EXAMPLE, "treatments": [{}]}, 422, "treatments[0]", "none of model, policy and scoreTable"),
        ("", {**EXAMPLE, "treatments": [{"policy": "none"}]}, 422, "treatments[0].policy", "the name of a policy"),
        ("", {**EXAMPLE, "plan": {"margin": 2}}, 422, "plan.margin", "expected"),
        ("", {**EXAMPLE, "scope": {"complexity": "simple"}}, 422, "scope.complexity", "one of the fields"),
        ("", {**EXAMPLE, "scope": {"workspaces": ["a\0b"]}}, 422, "scope.workspaces[0]", "1 to 200 characters"),
        ("", {**EXAMPLE, "reason": "a\0b"}, 422, "reason", "found a zero character"),
        ("", {**EXAMPLE, "salt": "x"}, 422, "salt", "one of the fields"),
        ("", {"rule": "none"}, 422, "rule", "a rule with a trafficSplit"),
        ("/none/pause", {}, 404, None, 'found no experiment "none"'),
        ("/none/pause", {"treatment": "b"}, 422, "treatment", "one of the fields reason"),
        ("/none/stop", {"reason": 7}, 422, "reason", "a text"),
    ],
)
def test_a_wrong_request_is_refused_with_its_field(
    admin: Gateway, path: str, body: object, status: int, field: str | None, words: str
) -> None:
    reply = admin.call("POST", f"/api/experiments{path}", body)
    assert (reply.status, reply.error.get("field")) == (status, field), reply.body
    assert words in reply.error["message"]
