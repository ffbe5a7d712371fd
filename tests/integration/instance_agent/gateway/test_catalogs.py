"""Models of a gateway: from keys in the environment, from local services, and from the fleet's registry."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.gateways import UPSTREAM_KEY, Gateway, a_key, start_gateway
from support.programs import Program
from support.upstream.process import FakeUpstream
from support.waiting import eventually

from centralcloud.contracts.fleet_configuration import PRIVATE_ALLOWED, parse_endpoint, parse_model, put
from centralcloud.runtime.configuration import writing
from centralcloud.runtime.postgres.database import Database
from instance_agent.gateway.resolver import GuardedResolver

StartProgram = Callable[..., Program]


def change(url: str, *entries: Any) -> None:
    """Register entries of the fleet's configuration."""
    with Database(url, application_name="tests") as database:
        author = writing.Author(who="tests", via="cli", source="tests")
        writing.change_configuration(database, author, lambda _: [put(entry) for entry in entries])


def a_model(model_id: str, **fields: Any) -> Any:
    body = {"id": model_id, "name": model_id, "version": model_id, "provider": "alpha", **fields}
    return parse_model(body)


def an_endpoint(model_id: str, url: str, **fields: Any) -> Any:
    return parse_endpoint({"modelId": model_id, "url": url, **fields}, policy=PRIVATE_ALLOWED)


def names(gateway: Gateway) -> set[str]:
    return {each["id"] for each in gateway.call("GET", "/v1/models").json()["data"]}


def test_keys_of_the_environment_make_providers_available(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    """The providers' own variables, and the addresses of the fake upstream instead of theirs."""
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(
        f"""
providers:
  - {{provider: openai, base_url: "{fake_upstream.openai_url}", api_key: "env:OPENAI_API_KEY"}}
  - {{provider: anthropic, dialect: anthropic, base_url: "{fake_upstream.anthropic_url}", api_key: "env:ANTHROPIC_API_KEY"}}
  - {{provider: gemini, dialect: gemini, base_url: "{fake_upstream.gemini_url}", api_key: "env:GEMINI_API_KEY"}}
  - {{provider: openrouter, base_url: "{fake_upstream.openai_url}", api_key: "env:OPENROUTER_API_KEY"}}
  - {{provider: lost, base_url: "{fake_upstream.openai_url}/lost?sig={UPSTREAM_KEY}"}}
models: []
"""
    )
    variables = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")
    gateway = start_gateway(
        start, tmp_path, fake_upstream, database_url, key=a_key(database_url, "operator"),
        INSTANCE_AGENT_CATALOG=str(catalog), OPENROUTER_API_KEY="", **dict.fromkeys(variables, UPSTREAM_KEY),
    )  # fmt: skip

    for provider in ("openai", "anthropic", "gemini"):
        reply = gateway.chat(f"{provider}/some-model")
        assert (reply.status, reply.text) == (200, "You said: hello there")
    assert gateway.chat("lost/some-model").status >= 400
    (line,) = [line for line in gateway.program.log() if line["event"] == "upstream_not_found"]
    assert (line["provider"], line["url"]) == ("lost", f"{fake_upstream.openai_url}/lost/chat/completions")
    missing = gateway.chat("openrouter/some-model")
    assert missing.status == 503
    assert "OPENROUTER_API_KEY" in missing.error["message"]
    user = a_key(database_url, "user")
    body = {"model": "openrouter/some-model", "messages": [{"role": "user", "content": "hi"}]}
    refused = eventually(
        lambda: reply if (reply := gateway.call("POST", "/v1/chat/completions", body, key=user)).status == 503 else None
    )
    assert "OPENROUTER_API_KEY" not in refused.error["message"]
    assert "its provider has no key that can be used" in refused.error["message"]


def test_a_local_service_is_found_when_it_answers_and_its_models_are_chosen(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(
        f'providers: [{{provider: lm_studio, base_url: "{fake_upstream.openai_url}", local: true}}]\nmodels: []\n'
    )
    gateway = start_gateway(
        start, tmp_path, fake_upstream, database_url, key=a_key(database_url),
        INSTANCE_AGENT_CATALOG=str(catalog), INSTANCE_AGENT_GATEWAY_DISCOVERY_SECONDS="0.2",
    )  # fmt: skip

    eventually(lambda: {"fake-small", "fake-large"} <= names(gateway))
    reply = gateway.chat("auto", headers={"x-centralcloud-complexity": "simple"})
    assert (reply.status, reply.headers["x-centralcloud-provider"]) == (200, "lm_studio")
    (target,) = gateway.call("GET", "/api/models/fake-small/health").json()["targets"]
    assert target["check"]["status"] == "healthy"
    fake_upstream.behave("reset")
    eventually(lambda: "fake-small" not in names(gateway), what="the end of the local models")
    assert gateway.program.events().count("local_provider_found") == 1


def test_a_registered_model_is_served_within_a_second_and_leaves_when_it_is_removed(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    gateway = start_gateway(
        start, tmp_path, fake_upstream, database_url, key=a_key(database_url),
        INSTANCE_AGENT_GATEWAY_PRIVATE_ENDPOINTS="true",
    )  # fmt: skip
    scores = {"simple": 5.0, "medium": 5.0, "complex": 5.0}
    change(
        database_url,
        a_model("qwen/qwen3-30b", version="sent-name", complexityScores=scores, parameters={"maxTokens": 2}),
        an_endpoint("qwen/qwen3-30b", f"{fake_upstream.openai_url}/chat/completions"),
    )

    eventually(lambda: "qwen/qwen3-30b" in names(gateway), within_seconds=3.0)
    reply = gateway.chat()
    assert reply.headers["x-centralcloud-model"] == "qwen/qwen3-30b"
    assert fake_upstream.requests()[-1]["model"] == "sent-name"
    assert fake_upstream.last_body()["max_tokens"] == 2
    assert gateway.call("GET", "/v1/models/qwen%2Fqwen3-30b").status == 200


def test_an_endpoint_of_the_registry_on_this_machine_is_refused_by_default(
    gateway: Gateway, fake_upstream: FakeUpstream, database_url: str
) -> None:
    change(
        database_url,
        a_model("inside", complexityScores={"medium": 5.0}),
        an_endpoint("inside", fake_upstream.openai_url),
    )

    gateway.program.wait_for("registry_entry_unusable")
    assert "inside" not in names(gateway)


def test_a_name_may_not_lead_to_an_address_that_must_not_be_called() -> None:
    async def resolve(*, private: bool, registered: bool) -> list[str]:
        resolver = GuardedResolver(private=private)
        resolver.registered = frozenset({"localhost"} if registered else ())
        try:
            return [each["host"] for each in await resolver.resolve("localhost", 80)]
        finally:
            await resolver.close()

    # `localhost` is a name like any other here: it stands for one that leads to this machine.
    assert asyncio.run(resolve(private=False, registered=False)) == ["127.0.0.1"]
    assert asyncio.run(resolve(private=True, registered=True)) == ["127.0.0.1"]
    with pytest.raises(OSError, match="no address that may be called"):
        asyncio.run(resolve(private=False, registered=True))
