"""The limits of a policy in the body that is sent."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from support.planning import snapshot
from support.routing_rules import configured, policy

from instance_agent.catalog.model import Model
from instance_agent.chat.protocols import ANTHROPIC, OPENAI
from instance_agent.execution.targets import CallTargets
from instance_agent.gateway.limits.policy_limits import cache_seconds, limited

KNOWN = snapshot(Model(name="m", provider="p", complexity_scores={"medium": 3}))
assert KNOWN.configuration is not None
STATE = SimpleNamespace(targets=CallTargets(KNOWN.configuration))
(TARGET,) = KNOWN.configuration.targets_of("m")


def a_context(asked: dict[str, Any], **limits: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **asked}
    settings = configured(policies=[policy("p", "m", **limits)]).policies["p"]
    plan = SimpleNamespace(settings=settings, first=SimpleNamespace(target=TARGET), arm_share=None)
    return SimpleNamespace(
        head=OPENAI.read_head(json.dumps(body).encode()), plan=plan, state=STATE, operation="chat"
    ), body


LIMITS = {"max_tokens": 100, "temperature": 0.7}


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, {"max_tokens": 100, "temperature": 0.7}),
        ({"max_tokens": 101, "temperature": 0}, {"max_tokens": 100, "temperature": 0}),
        ({"max_completion_tokens": 999}, {"max_completion_tokens": 100, "temperature": 0.7}),
        ({"max_tokens": 5}, {"max_tokens": 5, "temperature": 0.7}),
    ],
)
def test_a_chat_gets_the_limit_and_a_temperature_only_where_it_has_none(asked: dict, sent: dict) -> None:
    context, body = a_context(asked, **LIMITS)
    found = json.loads(limited(context, json.dumps(body).encode(), OPENAI, "chat"))
    assert {name: found[name] for name in found if name not in ("model", "messages")} == sent
    assert context.head.max_output_tokens == min(100, sent.get("max_tokens", 100))


def test_each_protocol_has_its_own_field() -> None:
    context, body = a_context({}, **LIMITS)
    assert json.loads(limited(context, json.dumps(body).encode(), ANTHROPIC, "chat"))["max_tokens"] == 100
    context, body = a_context({}, **LIMITS)
    assert json.loads(limited(context, json.dumps(body).encode(), OPENAI, "responses"))["max_output_tokens"] == 100


@pytest.mark.parametrize(
    ("of_policy", "of_workspace", "expected"),
    [(60, 10, 60), (0, 10, 0), (None, 10, 10), (None, 0, 0), (None, None, None)],
)
def test_the_time_in_the_cache_is_that_of_the_policy_then_of_the_workspace(
    of_policy: float | None, of_workspace: float | None, expected: float | None
) -> None:
    context, _ = a_context({}, cache_seconds=of_policy)
    context.principal = SimpleNamespace(workspace="acme")
    workspaces = {"acme": SimpleNamespace(cache_seconds=of_workspace), "other": SimpleNamespace(cache_seconds=1)}
    context.state = SimpleNamespace(fleet=SimpleNamespace(workspaces=workspaces))
    assert cache_seconds(context) == expected
    context.principal = SimpleNamespace(workspace=None)
    assert cache_seconds(context) == of_policy
    context.plan.arm_share = 0.01
    assert cache_seconds(context) == 0, "of either arm: control has more sessions, and would find more"


def test_without_limits_the_bytes_stay() -> None:
    context, body = a_context({})
    sent = json.dumps(body).encode()
    assert limited(context, sent, OPENAI, "chat") is sent


def test_a_request_that_only_counts_tokens_has_no_limits() -> None:
    context, body = a_context({}, **LIMITS)
    context.operation = "count_tokens"
    sent = json.dumps(body).encode()
    assert limited(context, sent, ANTHROPIC, "chat") is sent
