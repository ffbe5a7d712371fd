"""Rules, policies and workspaces of the fleet's configuration in running gateways."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.gateways import UPSTREAM_KEY, Gateway, a_key, start_gateway
from support.ingest import ingest_all
from support.programs import Program
from support.registry import write
from support.routing_rules import policy, rule
from support.servers import execute
from support.upstream.process import FakeUpstream
from support.upstream.server import MODELS
from support.waiting import eventually

from centralcloud.contracts.fleet_configuration import (
    parse_policy,
    parse_rule,
    parse_task_policy,
    parse_workspace,
    put,
    remove,
)
from centralcloud.runtime.postgres.database import Database


def first_of(gateway: Gateway, **asked: Any) -> str:
    """Return the model that a request would be sent to."""
    found: str = gateway.call("POST", "/api/routing/test", {"prompt": "hi", **asked}).json()["modelId"]
    return found


def test_rules_policies_and_restrictions_hold_on_two_gateways_within_a_second(
    start: Callable[..., Program], tmp_path: Path, fake_upstream: FakeUpstream, database_url: str, database: Database
) -> None:
    key = a_key(database_url, "operator")
    acme = a_key(database_url, "user", workspace="acme")
    (tmp_path / "second").mkdir()
    gateways = [
        start_gateway(start, folder, fake_upstream, database_url, key=key, INSTANCE_ID=name)
        for name, folder in (("gateway-1", tmp_path), ("gateway-2", tmp_path / "second"))
    ]
    one = gateways[0]
    assert [first_of(each) for each in gateways] == ["gpt", "gpt"]

    # A rule, within a second.
    to_flash = rule("flash-first", "flash", {"modelId": "opus", "weight": 0}, condition={"tags": ["eu"]})
    write(database, put(parse_rule(to_flash)))
    began = time.monotonic()
    for each in gateways:
        eventually(lambda each=each: first_of(each, metadata={"tags": ["eu"]}) == "flash")
    assert time.monotonic() - began < 3, "notified, not polled"
    assert [first_of(each) for each in gateways] == ["gpt", "gpt"], "other requests have no such tag"
    answer = one.chat(headers={"x-centralcloud-tags": "eu"})
    assert (answer.headers["x-centralcloud-model"], answer.headers["x-centralcloud-reason"]) == ("flash", "rule")

    metrics = one.call("GET", "/metrics").body.decode()
    assert 'model_router_routing_rule_matches_total{rule="flash-first"} 1.0' in metrics

    # Policies, by name and by task type; a workspace with restrictions.
    write(
        database,
        put(
            parse_policy(
                policy("code", "opus", "gpt", "gpt-9", max_cost_per_task=0.5, max_tokens=4000, temperature=0.7)
            )
        ),
        put(parse_policy(policy("cheap", "gpt", max_cost_per_task=0.000001))),
        put(parse_task_policy({"id": "fix_bug", "policy": "code"})),
        put(parse_workspace({"id": "acme", "modelRestrictions": ["opus"]})),
    )
    eventually(lambda: one.chat("policy:code").status == 200)
    answer = one.chat("policy:code")
    assert (answer.headers["x-centralcloud-model"], answer.headers["x-centralcloud-reason"]) == ("opus", "policy")
    assert (fake_upstream.last_body()["max_tokens"], fake_upstream.last_body()["temperature"]) == (4000, 0.7)
    assert one.chat("policy:code", max_tokens=5000, temperature=0).status == 200
    assert (fake_upstream.last_body()["max_tokens"], fake_upstream.last_body()["temperature"]) == (4000, 0)
    unknown, dear = one.chat("policy:kode"), one.chat("policy:cheap")
    assert (unknown.status, "policy:NAME with one of cheap, code" in unknown.error["message"]) == (404, True)
    assert (dear.status, dear.error["code"]) == (402, "policy_cost")
    listed = [each["id"] for each in one.call("GET", "/v1/models").json()["data"]]
    assert {"policy:code", "policy:cheap", "gpt", "auto"} <= set(listed)
    own = [each["id"] for each in one.call("GET", "/v1/models", key=acme).json()["data"]]
    assert {"policy:code", "opus", "auto"} <= set(own)
    assert not {"policy:cheap", "gpt", "flash"} & set(own)
    body = {"messages": [{"role": "user", "content": "hi"}]}
    for model, status in (("gpt", 403), ("policy:cheap", 403), ("alpha/anything", 403), ("auto", 200), ("opus", 200)):
        reply = one.call("POST", "/v1/chat/completions", {**body, "model": model}, key=acme)
        assert (model, reply.status, reply.headers.get("x-centralcloud-model", "opus")) == (model, status, "opus")
        assert status == 200 or reply.error["code"] == "workspace_restriction"

    # The plan alone: no call, no row.
    calls = len(fake_upstream.requests())
    shown = one.call("POST", "/api/routing/test", {"prompt": "hi", "metadata": {"taskType": "fix_bug"}}).json()
    assert (shown["policy"], shown["policyFrom"], shown["modelId"]) == ("code", "task type", "opus")
    assert {"target": "gpt-9", "code": "not_in_catalog"}.items() <= shown["leftOut"][-1].items()
    asked = {"task_type": "fix_bug", "complexity": 6, "estimated_tokens": 2000, "worker": "w-7"}
    selected = one.call("POST", "/api/routing/select", asked).json()
    # 2,000 tokens of 1 USD and 4,000 of 2 USD for a million.
    assert (selected["policy"], selected["model"], selected["estimated_cost"]) == ("code", "opus", 0.01)
    assert [each["model"] for each in selected["alternatives"]] == ["gpt"]
    assert [(each["model"], each["code"]) for each in selected["skipped"]] == [("gpt-9", "not_in_catalog")]
    missing = one.call("POST", "/api/routing/select", {"task_type": "nothing"})
    assert (missing.status, '"policy:normal"' in missing.error["message"]) == (404, True)
    wrong = one.call("POST", "/api/routing/select", {"estimated_tokens": 0})
    assert (wrong.status, wrong.error["field"]) == (422, "estimated_tokens")
    assert len(fake_upstream.requests()) == calls

    # Without the rule, as before; the events name both.
    write(database, remove("rule", "flash-first"))
    eventually(lambda: first_of(gateways[1], metadata={"tags": ["eu"]}) == "gpt")

    def followed() -> set[tuple[str | None, str | None]]:
        ingest_all(database)
        rows = "SELECT DISTINCT rule, policy FROM routing_records WHERE outcome = 'routed'"
        return {(found[0], found[1]) for found in execute(database_url, rows)}

    eventually(lambda: {("flash-first", None), (None, "code"), (None, None)} <= followed())


_CATALOG = """
providers:
  - {{provider: lm_studio, dialect: openai, base_url: "{openai}", local: true}}
  - {{provider: beta, dialect: anthropic, base_url: "{anthropic}", api_key: "file:{key}"}}
models:
  - {{name: small, provider: lm_studio, version: {small}}}
  - {{name: large, provider: lm_studio, version: {large}}}
  - {{name: claude, provider: beta}}
"""


def test_two_failures_of_local_models_lead_to_others_and_a_success_leads_back(
    start: Callable[..., Program], tmp_path: Path, fake_upstream: FakeUpstream, database_url: str, database: Database
) -> None:
    (tmp_path / "key").write_text(UPSTREAM_KEY)
    (tmp_path / "key").chmod(0o600)
    local = MODELS[:2]
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(
        _CATALOG.format(
            openai=fake_upstream.openai_url, anthropic=fake_upstream.anthropic_url, key=tmp_path / "key",
            small=local[0], large=local[1],
        )
    )  # fmt: skip
    seed = policy("seed", "small", "large", "claude", order="local_first")
    write(database, put(parse_policy(seed)))
    gateway = start_gateway(
        start, tmp_path, fake_upstream, database_url, key=a_key(database_url, "operator"),
        INSTANCE_AGENT_CATALOG=str(catalog), INSTANCE_AGENT_GATEWAY_DISCOVERY_SECONDS="1",
    )  # fmt: skip

    def answered() -> str:
        reply = gateway.chat("policy:seed", headers={"x-centralcloud-complexity": "2"})
        assert reply.status == 200, reply.body
        return reply.headers["x-centralcloud-model"]

    eventually(lambda: first_of(gateway, model="policy:seed", metadata={"complexity": "2"}) == "small")
    assert answered() == "small"
    for name in local:
        fake_upstream.behave("status=500", times=1, model=name)
    calls = len(fake_upstream.requests())
    assert answered() == "claude", "the third attempt is elsewhere"
    assert len(fake_upstream.requests()) == calls + 3
    assert answered() == "claude", "two failures in a row: the others are first"
    assert len(fake_upstream.requests()) == calls + 4
    fake_upstream.behave("status=500", times=1, model="claude")
    assert answered() == "small", "the next one after a failure of the others"
    assert answered() == "small", "its success has ended the row"
