"""The fleet's configuration over HTTP: the requests of the specification as they are printed, and what is refused."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from support.gateways import Gateway, Reply, a_catalog, a_key, start_gateway
from support.programs import programs_in
from support.servers import execute, new_database
from support.upstream.process import FakeUpstream
from support.waiting import eventually
from typer.testing import CliRunner

from centralcloud.cli.app import app as centralcloud
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.partitions import ensure_partitions
from centralcloud.store.schema import migrate
from instance_agent.gateway.openapi.operations import OPERATIONS

RULE: dict[str, Any] = OPERATIONS["POST", "/api/routing/rules"].example
AGENT: dict[str, Any] = OPERATIONS["POST", "/api/agents/{agentType}/preferences"].example
WORKSPACE: dict[str, Any] = OPERATIONS["POST", "/api/workspaces/{workspaceId}/config"].example
#: As the specification prints it, with providers.
POLICY = {
    "name": "careful",
    "description": "Balanced cost and performance",
    "models": [
        {"provider": "openai", "model": "gpt-4o-mini", "priority": 1},
        {"provider": "anthropic", "model": "claude-3-5-sonnet", "priority": 2},
    ],
    "max_cost_per_task": 0.10,
    "max_tokens": 4000,
    "temperature": 0.7,
}


@pytest.fixture(scope="module")
def migrated(server: str) -> Iterator[str]:
    """A database as `migrate` leaves it, with the default policies."""
    with new_database(server, "template1") as url, Database(url, application_name="tests") as database:
        migrate(database)
        ensure_partitions(database)
        yield url


@pytest.fixture(scope="module")
def admin(migrated: str, running_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose catalog has the names of the specification as aliases, called with a key of the role admin."""
    folder = tmp_path_factory.mktemp("configuration-api")
    catalog = a_catalog(folder, running_upstream)
    aliases = '{"claude-3*sonnet*": opus, "gpt-4": gpt, "gpt-3.5-turbo": flash, "best": auto}'
    catalog.write_text(catalog.read_text().replace('{"claude-*": auto}', aliases))
    key = a_key(migrated, "admin")
    with programs_in(folder) as start:
        variables = {
            "INSTANCE_AGENT_CATALOG": os.fspath(catalog),
            "INSTANCE_AGENT_GATEWAY_CACHE_BYTES": "1000000",
        }
        yield start_gateway(start, folder, running_upstream, migrated, key=key, **variables)


def has(found: Any, wanted: Any) -> bool:
    """Whether a JSON value has what is wanted; objects may have more fields: defaults."""
    if isinstance(wanted, dict):
        return all(name in found and has(found[name], each) for name, each in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(has, found, wanted))
    return bool(found == wanted)


def refused(reply: Reply, status: int, field: str | None = None) -> str:
    assert (reply.status, reply.error.get("field")) == (status, field), reply.body
    return str(reply.error["message"])


def test_the_rule_of_the_specification_is_added_changed_and_removed(admin: Gateway, migrated: str) -> None:
    created = admin.call("POST", "/api/routing/rules", RULE)
    path = created.headers["location"]
    assert created.status == 201
    assert has(created.json(), RULE)
    assert admin.call("GET", path).json() == created.json()
    assert admin.call("POST", "/api/routing/rules", RULE).error["code"] == "rule_exists"

    lower = admin.call("POST", "/api/routing/rules", {**RULE, "name": "Lower", "priority": 7}).json()["id"]
    rules = admin.call("GET", "/api/routing/rules").json()
    assert [each["priority"] for each in rules["rules"]] == [100, 7], "the greatest first"

    changed = admin.call("PATCH", path, {"enabled": False, "condition": {"contentLength": None}})
    assert has(changed.json(), {"enabled": False, "condition": {"agentType": ["creative"]}})
    assert "contentLength" not in changed.json()["condition"]
    to_policy = admin.call("PATCH", path, {"targetModels": None, "trafficSplit": None, "policy": "code"})
    assert (to_policy.json()["policy"], to_policy.json()["targetModels"]) == ("code", [])

    in_use = admin.call("DELETE", "/api/routing/policies/code")
    assert (in_use.status, in_use.error["code"]) == (409, "in_use")
    ((subject, via),) = execute(migrated, "SELECT subject, via FROM operator_actions ORDER BY id DESC LIMIT 1")
    assert (subject, via) == (f"rule/{created.json()['id']}", "api")
    for each in (path, f"/api/routing/rules/{lower}"):
        assert admin.call("DELETE", each).json()["deleted"] is True
    assert admin.call("DELETE", path).error["code"] == "rule_not_found"
    assert admin.call("PATCH", path, {}).status == 404


def test_an_invalid_rule_is_refused_with_the_path_of_the_field(admin: Gateway) -> None:
    version = admin.call("GET", "/api/routing/rules").headers["x-centralcloud-config-version"]
    bad: list[tuple[dict[str, Any], str | None]] = [
        ({"trafficSplit": {"primary": 80, "canary": 30}}, "trafficSplit"),
        ({"targetModels": []}, None),
        ({"condition": {"agent": ["x"]}}, "condition.agent"),
        ({"condition": {"complexity": {"min": 11}}}, "condition.complexity.min"),
        ({"targetModels": [{"modelId": "unheard-of"}], "trafficSplit": None}, "targetModels[0].modelId"),
        ({"targetModels": [{"modelId": "best"}], "trafficSplit": None}, "targetModels[0].modelId"),
        ({"targetModels": [{"modelId": "auto"}], "trafficSplit": None}, "targetModels[0].modelId"),
        ({"targetModels": [], "trafficSplit": None, "policy": "none"}, "policy"),
    ]
    for change, field in bad:
        message = refused(admin.call("POST", "/api/routing/rules", {**RULE, **change}), 422, field)
        assert "found " in message
    assert admin.call("GET", "/api/routing/rules").headers["x-centralcloud-config-version"] == version


def test_policies_are_there_after_migrate_and_set_by_their_name(admin: Gateway) -> None:
    listed = admin.call("GET", "/api/routing/policies").json()
    assert {each["name"] for each in listed["policies"]} >= {"normal", "deep_research", "code", "ops"}
    created = admin.call("POST", "/api/routing/policies", POLICY)
    assert (created.status, created.json()) == (201, {**created.json(), **POLICY})
    again = admin.call("POST", "/api/routing/policies", {**POLICY, "max_cost_per_task": 0.2})
    assert (again.status, again.json()["max_cost_per_task"]) == (200, 0.2)
    patched = admin.call("PATCH", "/api/routing/policies/careful", {"temperature": None, "fallback": "normal"})
    assert ("temperature" in patched.json(), patched.json()["fallback"]) == (False, "normal")
    assert admin.call("GET", "/api/routing/policies/careful").json() == patched.json()
    refused(admin.call("PATCH", "/api/routing/policies/careful", {"name": "other"}), 422, "name")
    refused(admin.call("PATCH", "/api/routing/policies/careful", {"fallback": "careful"}), 422, "fallback")
    cycle = admin.call("PATCH", "/api/routing/policies/normal", {"fallback": "careful"})
    assert (cycle.status, "a cycle" in cycle.error["message"]) == (422, True)
    refused(admin.call("POST", "/api/routing/policies", {**POLICY, "models": []}), 422, "models")

    tasks = admin.call("GET", "/api/routing/tasks").json()
    assert tasks["taskMapping"]["fix_bug"] == "code"
    more = {"taskMapping": {**tasks["taskMapping"], "review": "careful"}}
    assert admin.call("PUT", "/api/routing/tasks", more).json() == more
    assert admin.call("DELETE", "/api/routing/policies/careful").status == 409
    field = 'taskMapping["review"].policy'
    refused(admin.call("PUT", "/api/routing/tasks", {"taskMapping": {"review": "none"}}), 422, field)
    refused(admin.call("PUT", "/api/routing/tasks", {"review": "code"}), 422, "review")
    assert admin.call("PUT", "/api/routing/tasks", tasks).json() == tasks
    assert admin.call("DELETE", "/api/routing/policies/careful").status == 200
    assert admin.call("GET", "/api/routing/policies/careful").status == 404


def test_agents_have_preferences_and_models_with_their_state(admin: Gateway) -> None:
    path = "/api/agents/creative/preferences"
    assert admin.call("GET", path).error["code"] == "agent_not_found"
    every = admin.call("GET", "/api/agents/creative/models").json()["models"]
    assert {each["preference"] for each in every} == {"any"}
    stored = admin.call("POST", path, AGENT)
    assert (stored.status, stored.json()) == (200, {**AGENT, "id": "creative"})
    assert admin.call("GET", path).json() == stored.json()
    shown = admin.call("GET", "/api/agents/creative/models").json()
    assert [(each["modelId"], each["preference"], each["resolvedTo"]) for each in shown["models"]] == [
        ("gpt-4", "preferred", "gpt"), ("claude-3-sonnet", "preferred", "opus"), ("gpt-3.5-turbo", "fallback", "flash"),
    ]  # fmt: skip
    assert all(each["usable"] and "missingCapabilities" not in each for each in shown["models"])
    refused(admin.call("POST", path, {**AGENT, "fallbackModels": ["gpt-4"]}), 422, "fallbackModels[0]")
    refused(admin.call("POST", path, {**AGENT, "id": "other"}), 422, "id")
    assert admin.call("DELETE", path).json() == {"id": "creative", "deleted": True}


def test_a_key_of_a_workspace_sees_its_own_and_changes_nothing_of_the_fleet(admin: Gateway, migrated: str) -> None:
    config = "/api/workspaces/{}/config".format
    stored = admin.call("POST", config("acme"), WORKSPACE).json()
    assert has(stored, {**WORKSPACE, "id": "acme"})
    assert admin.call("GET", config("acme")).json() == stored
    assert admin.call("POST", config("other"), {"onLimit": "stop", "budgetLimits": {"daily": 1}}).status == 200
    refused(admin.call("POST", config("acme"), {**WORKSPACE, "budgetLimits": {"daily": -1}}), 422, "budgetLimits.daily")
    refused(admin.call("POST", config("acme"), {"modelRestrictions": ["unheard-of"]}), 422, "modelRestrictions[0]")
    own_rule = {**RULE, "name": "acme alone", "condition": {"workspace": ["acme"]}}
    of_other = {**RULE, "name": "not for other", "condition": {"not": {"workspace": ["other"]}}}
    rules = [admin.call("POST", "/api/routing/rules", rule).json()["id"] for rule in (own_rule, of_other)]

    key = a_key(migrated, "admin", workspace="acme")
    eventually(lambda: admin.call("GET", "/v1/models", key=key).status == 200, what="the new key")

    def own(method: str, path: str, body: Any = None) -> Reply:
        return admin.call(method, path, body, key=key)

    assert own("GET", config("acme")).status == 200
    assert own("GET", config("other")).error["code"] == "workspace_not_found"
    assert [each["id"] for each in own("GET", "/api/workspaces").json()["workspaces"]] == ["acme"]
    assert [each["id"] for each in own("GET", "/api/routing/rules").json()["rules"]] == [rules[0]]
    assert own("GET", f"/api/routing/rules/{rules[1]}").status == 404
    budgets = own("GET", "/api/budgets").json()["budgets"]
    assert {each["of"] for each in budgets} == {"acme"}
    assert own("GET", "/api/budgets/workspace%3Aother%3Adaily").status == 404
    for method, path, body in (
        ("POST", config("acme"), WORKSPACE), ("POST", "/api/routing/rules", RULE), ("GET", "/api/config/export", None),
        ("DELETE", f"/api/routing/rules/{rules[0]}", None), ("POST", "/api/config/import", {"config": {}}),
    ):  # fmt: skip
        assert own(method, path, body).status == 403, path
    for rule in rules:
        admin.call("DELETE", f"/api/routing/rules/{rule}")


def test_budgets_are_entries_and_limits_of_workspaces(admin: Gateway) -> None:
    assert admin.call("POST", "/api/workspaces/team/config", {"budgetLimits": {"daily": 100}}).status == 200
    budget = {"scope": "fleet", "period": "daily", "limit": 50, "onLimit": "stop"}
    created = admin.call("POST", "/api/budgets", budget)
    assert (created.status, created.json()["id"]) == (201, "fleet:daily")
    assert admin.call("POST", "/api/budgets", {**budget, "limit": 60}).status == 200
    listed = {each["id"]: each for each in admin.call("GET", "/api/budgets").json()["budgets"]}
    assert (listed["fleet:daily"]["limit"], listed["workspace:team:daily"]["ofWorkspaceConfig"]) == (60, True)
    derived = admin.call("DELETE", "/api/budgets/workspace%3Ateam%3Adaily")
    assert (derived.status, derived.error["code"]) == (409, "budget_of_workspace")
    refused(admin.call("POST", "/api/budgets", {**budget, "of": "x"}), 422, "of")
    refused(admin.call("POST", "/api/budgets", {**budget, "timezone": "Mars"}), 422, "timezone")
    clash = {"scope": "workspace", "of": "team", "period": "daily", "limit": 1}
    refused(admin.call("POST", "/api/budgets", clash), 422, "id")
    assert admin.call("DELETE", "/api/budgets/fleet%3Adaily").status == 200
    assert admin.call("GET", "/api/budgets/fleet%3Adaily").status == 404
    assert admin.call("DELETE", "/api/workspaces/team/config").status == 200


def test_an_export_is_imported_again_and_has_no_secret(
    admin: Gateway, migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.call("POST", "/api/routing/rules", RULE)
    exported = admin.call("GET", "/api/config/export")
    assert b"cck_" not in exported.body
    monkeypatch.setenv("DATABASE_URL", migrated)
    assert CliRunner().invoke(centralcloud, ["configuration", "export"]).stdout_bytes == exported.body
    same = admin.call("POST", "/api/config/import", {**exported.json(), "replace": True}).json()
    assert (same["changes"], same["dryRun"]) == ([], False)
    empty = admin.call("POST", "/api/config/import", {"config": {}, "replace": True, "dryRun": True}).json()
    assert {each["change"] for each in empty["changes"]} == {"removed"}
    assert admin.call("GET", "/api/config/export").body == exported.body, "a dry run writes nothing"

    seed = {"models": [], "routingRules": [{**RULE, "priority": 5}], "agentPreferences": {"creative": AGENT}}
    merged = admin.call(
        "POST", "/api/config/import", {"config": {**seed, "workspaceConfigs": {"acme": WORKSPACE}}}
    ).json()
    assert {(each["kind"], each["change"]) for each in merged["changes"]} >= {("rule", "changed"), ("agent", "added")}
    assert admin.call("POST", "/api/config/import", {**exported.json(), "replace": True}).status == 200
    assert admin.call("GET", "/api/config/export").body == exported.body
    assert admin.call("GET", "/api/models").status == 200, "keys stay"

    def imported(**sections: Any) -> Reply:
        return admin.call("POST", "/api/config/import", {"config": sections})

    refused(imported(routingRules=[RULE, {**RULE, "priority": "high"}]), 422, "config.routingRules[1].priority")
    refused(imported(keys=[]), 422, "config.keys")
    refused(
        imported(agentPreferences={"x": {"preferredModels": ["unheard-of"]}}),
        422,
        'agentPreferences["x"].preferredModels[0]',
    )
    refused(imported(models=[{"version": "m", "name": "m", "provider": "opnai"}]), 422, 'models["m"].provider')
    endpoint = {"id": "e", "modelId": "m", "url": "http://127.0.0.1:1/v1"}
    model = {"version": "m", "name": "m", "provider": "alpha"}
    assert "which is not allowed" in refused(imported(models=[model], endpoints=[endpoint]), 422, 'endpoints["e"].url')
    hostile = {**endpoint, "url": "https://evil.example/v1"}
    assert "which gets no key" in refused(imported(models=[model], endpoints=[hostile]), 422, 'endpoints["e"].url')
    dry = admin.call("POST", "/api/config/import", {"config": {"taskMapping": {"x": "none"}}, "dryRun": True})
    refused(dry, 422, 'taskMapping["x"].policy')
    assert admin.call("GET", "/api/config/export").body == exported.body


def test_a_registered_model_that_a_rule_names_cannot_be_removed(admin: Gateway) -> None:
    model = {"version": "special", "name": "special", "provider": "alpha"}
    assert admin.call("POST", "/api/models", model).status == 201
    rule = {"name": "special", "targetModels": [{"modelId": "special"}]}
    created = admin.call("POST", "/api/routing/rules", rule)
    kept = admin.call("DELETE", "/api/models/special")
    assert (kept.status, kept.error["code"]) == (409, "in_use")
    assert 'found "special", which is removed' in kept.error["message"]
    assert json.loads(admin.call("DELETE", created.headers["location"]).body)["deleted"] is True
    assert admin.call("DELETE", "/api/models/special").status == 200


def test_what_a_policy_and_a_workspace_say_holds_for_requests(
    admin: Gateway, migrated: str, running_upstream: FakeUpstream
) -> None:
    """Images go to models with vision; compliance tags are needed; an answer is kept for its workspace alone."""
    blind = {"version": "blind-1", "name": "blind", "provider": "alpha", "modelType": "chat"}
    assert admin.call("POST", "/api/models", blind).status == 201
    models = [{"model": "blind-1", "priority": 1}, {"model": "opus", "priority": 2}]
    assert admin.call("POST", "/api/routing/policies", {"name": "see", "models": models}).status == 201
    kept = {"name": "kept", "models": [{"model": "gpt"}], "cache_seconds": 60}
    assert admin.call("POST", "/api/routing/policies", kept).status == 201
    strict = {"complianceRequirements": ["hipaa"]}
    assert admin.call("POST", "/api/workspaces/strict/config", strict).status == 200
    keys = {name: a_key(migrated, "user", workspace=name) for name in ("strict", "one", "two")}

    def chat(key: str, model: str, content: Any = "hello there") -> Reply:
        body = {"model": model, "messages": [{"role": "user", "content": content}], "temperature": 0}
        return admin.call("POST", "/v1/chat/completions", body, key=keys[key])

    eventually(
        lambda: {chat(key, "policy:see").status for key in ("one", "two")} == {200}, what="the keys and the policies"
    )
    pixel = "data:image/png;base64,AAAA"
    image = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": pixel}}]
    assert chat("one", "policy:see").headers["x-centralcloud-model"] == "blind-1"
    assert chat("one", "policy:see", image).headers["x-centralcloud-model"] == "opus"

    for model in ("auto", "gpt", "policy:see"):
        refusal = chat("strict", model)
        assert (refusal.status, refusal.error["code"]) == (403, "compliance"), model

    eventually(lambda: chat("one", "policy:kept").status == 200)
    before = len(running_upstream.requests("gpt"))
    replies = [chat(name, "policy:kept", "the same") for name in ("one", "one", "two", "one")]
    assert {reply.text for reply in replies} == {"You said: the same"}
    assert len(running_upstream.requests("gpt")) - before == 2, "one call for each workspace"

    for path in ("routing/policies/see", "routing/policies/kept", "workspaces/strict/config", "models/blind-1"):
        assert admin.call("DELETE", f"/api/{path}").status == 200, path
