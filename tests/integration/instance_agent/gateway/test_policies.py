"""The policies of the specification, learned scores and budgets of every scope, in one running gateway."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.gateways import UPSTREAM_KEY, Gateway, Reply, a_key, start_gateway
from support.ingest import ingest_all
from support.programs import programs_in
from support.registry import write
from support.repository import REPOSITORY
from support.routing_rules import policy
from support.servers import execute, new_database
from support.spending import put_budgets
from support.upstream.process import FakeUpstream
from support.waiting import eventually

from centralcloud.contracts.fleet_configuration import parse_policy, parse_workspace, put, remove
from centralcloud.runtime.postgres.database import Database

#: In USD per million tokens, as when the specification was written.
PRICES = {
    "gpt-3.5-turbo": (0.5, 1.5), "claude-3-haiku": (0.25, 1.25), "gpt-4o": (2.5, 10), "claude-3-5-sonnet": (3, 15),
    "gpt-4o-mini": (0.15, 0.6), "claude-3-opus": (15, 75),
}  # fmt: skip
OTHERS = {
    "waits": policy("waits", "gpt-4o-mini", learn_from="feedback"),
    "strict": policy("strict", "gpt-4o-mini", cut_off_is_failure=True),
    "lenient": policy("lenient", "gpt-4o-mini"),
}


def a_catalog(folder: Path, upstream: FakeUpstream) -> Path:
    key = folder / "upstream.key"
    key.write_text(UPSTREAM_KEY)
    key.chmod(0o600)
    scores = dict.fromkeys(("simple", "medium", "complex"), 3.0)
    catalog = {
        "providers": [
            {"provider": "openai", "dialect": "openai", "base_url": upstream.openai_url, "api_key": f"file:{key}"},
            {"provider": "anthropic", "dialect": "anthropic", "base_url": upstream.anthropic_url, "api_key": f"file:{key}"},
        ],
        "models": [
            {
                "name": name, "provider": "anthropic" if name.startswith("claude") else "openai", "context_window": 200_000,
                "pricing": {"input": prices[0], "output": prices[1]}, "complexity_scores": scores,
            }
            for name, prices in PRICES.items()
        ],
    }  # fmt: skip
    file = folder / "catalog.yaml"
    file.write_text(json.dumps(catalog))
    return file


@pytest.fixture(scope="module")
def url(server: str, template: str) -> Iterator[str]:
    """A database with the default policies, as `migrate` writes them, and with `OTHERS`."""
    with new_database(server, template) as url:
        execute(url, (REPOSITORY / "migrations/sql/0021_default_policies.sql").read_text())
        with Database(url, application_name="tests") as database:
            write(
                database,
                *(put(parse_policy(each)) for each in OTHERS.values()),
                put(parse_workspace({"id": "hasty", "qualityRequirements": {"maxLatency": 300}})),
            )
        yield url


@pytest.fixture(scope="module")
def gateway(url: str, running_upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose very first answer, of gpt-4o, took half a second."""
    folder: Path = tmp_path_factory.mktemp("policies")
    with programs_in(folder) as start:
        gateway = start_gateway(
            start, folder, running_upstream, url, key=a_key(url, "operator"),
            INSTANCE_AGENT_CATALOG=str(a_catalog(folder, running_upstream)), INSTANCE_AGENT_POLL_INTERVAL_SECONDS="0.5",
            INSTANCE_AGENT_EXPLORATION="0.1",
        )  # fmt: skip
        running_upstream.behave("slow-headers=0.5", times=1, model="gpt-4o")
        assert gateway.chat("gpt-4o").status == 200
        yield gateway


def chat(gateway: Gateway, model: str = "auto", text: str = "hello there", **headers: str) -> Reply:
    sent = {f"x-centralcloud-{name.replace('_', '-')}": value for name, value in headers.items()}
    return gateway.chat(model, text, max_tokens=10, headers=sent)


def answered_by(reply: Reply) -> tuple[int, str, str]:
    return reply.status, reply.headers["x-centralcloud-model"], reply.headers["x-centralcloud-reason"]


def explained(gateway: Gateway, reply: Reply) -> Any:
    found = gateway.call("GET", f"/api/decisions/{reply.headers['x-centralcloud-request-id']}")
    assert found.status == 200, found.body
    return found.json()


def learn(url: str, complexity: str, version: int, **fields: dict[str, Any]) -> None:
    """Publish scores of models; names with `_` for `-`."""
    for name, estimate in fields.items():
        message = {
            "model": name.replace("_", "-"), "complexity": complexity, "new_score": 5 * estimate["mean"],
            "version": version, **estimate,
        }  # fmt: skip
        execute(url, "SELECT pgmq.send('model_score_updates', %s::jsonb)", (json.dumps(message),))


def test_an_expensive_model_that_fails_or_is_too_dear_leads_to_the_cheaper_one(
    gateway: Gateway, fake_upstream: FakeUpstream, url: str
) -> None:
    first = chat(gateway, task_type="simple_query")
    assert answered_by(first) == (200, "gpt-3.5-turbo", "policy")
    fake_upstream.behave("status=500", times=1, model="gpt-3.5-turbo")
    failed_over = chat(gateway, task_type="simple_query")
    assert answered_by(failed_over) == (200, "claude-3-haiku", "downgrade")
    assert 0 < float(failed_over.headers["x-centralcloud-cost-usd"]) < float(first.headers["x-centralcloud-cost-usd"])

    found = explained(gateway, failed_over)
    assert (found["policy"], found["status"]) == ("ops", "success")
    assert [(each["modelId"], each["status"], each.get("errorKind")) for each in found["attempts"]] == [
        ("gpt-3.5-turbo", "failure", "provider"),
        ("claude-3-haiku", "success", None),
    ]
    assert [each["reason"] for each in found["plan"]["targets"]] == ["policy", "downgrade"]
    with Database(url, application_name="tests") as database:

        def stored() -> list[Any]:
            ingest_all(database)
            return execute(
                url, "SELECT plan -> 'targets' -> 1 FROM request_plans WHERE request_id = %s", (found["requestId"],)
            )

        eventually(lambda: [each[0]["reason"] for each in stored()] == ["downgrade"], what="the plan of the event")

    # 25,000 tokens: 0.0125 USD at gpt-3.5-turbo, 0.0063 at claude-3-haiku, and the policy allows 0.01.
    long = chat(gateway, text="word " * 17_500, task_type="simple_query")
    assert answered_by(long) == (200, "claude-3-haiku", "policy")
    assert explained(gateway, long)["plan"]["struck"] == [{"target": "gpt-3.5-turbo@openai", "reason": "policy_cost"}]


def test_the_outcome_is_as_the_policy_says(gateway: Gateway, fake_upstream: FakeUpstream, url: str) -> None:
    for name, streamed, status in (
        ("lenient", False, "success"), ("strict", False, "failure"), ("strict", True, "failure"),
    ):  # fmt: skip
        fake_upstream.behave("truncated", times=1, model="gpt-4o-mini")
        reply = gateway.chat(f"policy:{name}", stream=streamed)
        assert (reply.status, b'"length"' in reply.body) == (200, True), "the client gets it as it is"
        (attempt,) = explained(gateway, reply)["attempts"]
        assert (attempt["status"], attempt.get("errorKind"), attempt["finishReason"]) == (
            status, None if status == "success" else "provider", "length",
        )  # fmt: skip
    assert explained(gateway, gateway.chat("policy:strict"))["status"] == "success"

    reply = gateway.chat("policy:waits")
    request_id = reply.headers["x-centralcloud-request-id"]
    assert explained(gateway, reply)["status"] == "waiting_for_feedback"
    stored = (
        "SELECT feedback_until - timestamp > '23:59:00' FROM routing_records WHERE request_id = %s AND outcome = %s"
    )
    with Database(url, application_name="tests") as database:

        def recorded(outcome: str) -> list[Any]:
            ingest_all(database)
            return execute(url, stored, (request_id, outcome))

        eventually(lambda: recorded("routed") == [(True,)], what="the decision, which waits for a day")
        assert recorded("success") == []
        feedback = gateway.call("POST", "/v1/feedback", {"request_id": request_id, "success": True})
        assert (feedback.status, feedback.json()["learned"]) == (202, True)
        eventually(lambda: len(recorded("success")) == 1, what="the outcome")


def test_a_model_that_has_fallen_is_demoted_with_its_reason_and_returns(gateway: Gateway, url: str) -> None:
    def shown() -> Any:
        return gateway.call("GET", "/api/routing/performance").json()["policies"]

    assert shown() == []
    learn(
        url, "medium", 11, gpt_4o={"mean": 0.6, "n_eff": 200}, claude_3_5_sonnet={"mean": 0.9, "n_eff": 200}
    )  # fmt: skip
    eventually(lambda: shown() != [])
    (code,) = shown()
    assert (code["policy"], code["complexity"], code["order"]) == ("code", "medium", ["claude-3-5-sonnet", "gpt-4o"])
    ((demoted,), (promoted,)) = code["demoted"], code["promoted"]
    assert (demoted["modelId"], demoted["code"]) == ("gpt-4o", "fallen")
    assert demoted["reason"].startswith("it succeeds in 60% of these tasks (at most 66%), claude-3-5-sonnet in 90%")
    assert promoted == {"modelId": "claude-3-5-sonnet", "reason": "tried before gpt-4o, which is demoted"}
    filtered = gateway.call("GET", "/api/routing/performance?modelId=gpt-4o-mini").json()
    assert filtered["policies"] == []

    reply = chat(gateway, "policy:code", complexity="medium")
    assert answered_by(reply) == (200, "claude-3-5-sonnet", "policy")
    plan = explained(gateway, reply)["plan"]
    assert plan["demoted"] == [{"model": "gpt-4o", "reason": demoted["reason"]}]
    assert plan["promoted"] == [{"model": "claude-3-5-sonnet", "reason": promoted["reason"]}]

    learn(url, "medium", 12, gpt_4o={"mean": 0.85, "n_eff": 400})
    eventually(lambda: shown() == [], what="the return")
    assert answered_by(chat(gateway, "policy:code", complexity="medium"))[1] == "gpt-4o"


def test_a_model_that_is_too_slow_here_is_left_out_for_the_workspace_that_requires_it(
    gateway: Gateway, url: str
) -> None:
    key = a_key(url, "user", workspace="hasty")
    asked = {"prompt": "hi", "model": "policy:code", "metadata": {"complexity": "complex"}}
    eventually(lambda: gateway.call("POST", "/api/routing/test", asked, key=key).status == 200, what="the key")
    plan = gateway.call("POST", "/api/routing/test", asked, key=key).json()
    assert plan["modelId"] == "claude-3-5-sonnet"
    (left_out,) = plan["leftOut"]
    assert (left_out["target"], left_out["code"]) == ("gpt-4o@openai", "quality")
    assert left_out["reason"].endswith("ms here, expected at most 300")
    assert gateway.call("POST", "/api/routing/test", asked).json()["modelId"] == "gpt-4o", "no such requirement"


def test_budgets_of_a_worker_a_policy_and_the_fleet_stop_the_requests_that_they_are_for(
    gateway: Gateway, url: str
) -> None:
    def until_refused(model: str, **headers: str) -> Reply:
        for _ in range(40):
            reply = chat(gateway, model, **headers)
            if reply.status != 200:
                return reply
        raise AssertionError("never refused")

    # A request may cost 22 x 1.25 x 2.5 + 10 x 10 millionths of a USD at gpt-4o.
    stop = {"period": "daily", "limit": 0.0006, "onLimit": "stop"}
    cases = (
        ({"scope": "worker", "of": "w-7"}, ("gpt-4o", {"worker": "w-7"}), ("gpt-4o", {"worker": "w-8"})),
        ({"scope": "policy", "of": "deep_research"}, ("policy:deep_research", {}), ("policy:code", {})),
        ({"scope": "fleet"}, ("gpt-4o", {"worker": "w-9"}), None),
    )  # fmt: skip
    with Database(url, application_name="tests") as database:
        for scope, (model, headers), other in cases:
            put_budgets(url, {**scope, **stop})
            budget = ":".join(filter(None, (scope["scope"], scope.get("of"), "daily")))
            eventually(lambda budget=budget: gateway.call("GET", f"/api/budgets/{budget}").status == 200)
            refused = until_refused(model, **headers)
            assert (refused.status, refused.error["code"]) == (402, "budget_exhausted"), refused.body
            assert f"budget {budget}: found" in refused.error["message"]
            if other is not None:
                assert chat(gateway, other[0], **other[1]).status == 200, "not what the budget is for"
            meter = f"budget/{budget}"
            query = "SELECT spent > 0 AND spent <= 600000 FROM spend_periods WHERE meter = %s"
            eventually(lambda meter=meter: execute(url, query, (meter,)) == [(True,)], what="the report")  # noqa: B023
        write(database, remove("budget", "fleet:daily"))
    eventually(lambda: chat(gateway, "gpt-4o").status == 200, what="requests without the budget of the fleet")


def test_probes_stop_when_the_budget_of_exploration_is_used_up_and_the_gateway_says_so(
    gateway: Gateway, url: str
) -> None:
    def metric(name: str) -> float:
        lines = gateway.call("GET", "/metrics").body.decode().splitlines()
        (line,) = [each for each in lines if each.startswith(f"centralcloud_gateway_spend_{name} ")]
        return float(line.split()[-1])

    def ask() -> str:
        reply = chat(gateway, complexity="complex")
        assert reply.status == 200, reply.body
        return reply.headers["x-centralcloud-reason"]

    put_budgets(url, {"scope": "exploration", "period": "daily", "limit": 0.004})
    learn(
        url,
        "complex",
        21,
        gpt_4o_mini={"mean": 0.9, "n_eff": 400},
        claude_3_opus={"mean": 0.5, "n_eff": 40, "probe_share": 0.4},
    )
    eventually(lambda: gateway.details()["exploration"]["status"] == "allowed")
    eventually(lambda: ask() == "probe", what="a probe")
    assert metric("exploration_stopped") == 0
    eventually(lambda: ask() and gateway.details()["exploration"]["status"] == "stopped", what="the end of the budget")
    assert not {"probe", "exploration"} & {ask() for _ in range(12)}
    state = gateway.details()["exploration"]
    assert (state["probes"] > 0, state["stoppedProbes"] > 0) == (True, True)
    assert metric("exploration_stopped") == 1
    assert metric("probes_stopped_total") > 0
    assert any(line["event"] == "exploration_stopped" for line in gateway.program.log())
    spent = "SELECT spent > 0 AND spent <= 4000000 FROM spend_periods WHERE meter = 'budget/exploration:daily'"
    eventually(lambda: execute(url, spent) == [(True,)], what="the extra cost")
