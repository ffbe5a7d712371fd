"""Batches: read within bounds, grouped by their tasks, run a few at a time, with an outcome for each request."""

import asyncio
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from instance_agent.gateway.api.route_batches import Execute, read_batch, run_batch
from instance_agent.gateway.api.route_requests import RouteRequest
from instance_agent.gateway.auth import LOCAL
from instance_agent.gateway.context import RequestContext
from instance_agent.gateway.errors import GatewayError, InvalidFieldError


def run(requests: list[Any], execute: Execute, *, most: int = 4, headers: Mapping[str, str] | None = None) -> list[Any]:
    """Run a batch, and return the JSON of its outcomes."""
    state = cast("Any", SimpleNamespace(classifier=None))
    outcomes = asyncio.run(run_batch(requests, most, headers or {}, lambda: RequestContext(LOCAL, state), execute))
    found: list[Any] = json.loads(msgspec.json.encode(outcomes))
    return found


def prompts(*texts: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"prompt": text, **fields} for text in texts]


def test_each_request_has_its_outcome_at_its_place() -> None:
    async def execute(_context: RequestContext, asked: RouteRequest, *_: Any) -> bytes:
        if b"refused" in asked.body:
            raise GatewayError("too dear", status=402, code="budget")
        if b"broken" in asked.body:
            raise RuntimeError("a secret")
        return b'{"response": "yes"}'

    sent = [
        *prompts("a"),
        {"prompt": "b", "unheard": 1},
        7,
        *prompts("refused", "broken"),
        {"id": "own", "prompt": "c"},
        {"prompt": "d", "metadata": {"complexity": 11}},
    ]
    found = run(sent, execute)
    assert [each["index"] for each in found] == list(range(7))
    assert [(each["status"], each.get("httpStatus")) for each in found] == [
        ("success", None), ("error", 422), ("error", 422), ("error", 402), ("error", 500), ("success", None),
        ("error", 422),
    ]  # fmt: skip
    assert found[0]["answer"] == {"response": "yes"}
    assert found[1]["error"]["field"] == "unheard"
    assert found[3]["error"]["code"] == "budget"
    assert "secret" not in json.dumps(found)
    assert found[5]["requestId"] == "own"
    assert found[6]["error"]["field"] == "metadata.complexity"


def test_similar_tasks_follow_the_first_one_in_its_session() -> None:
    order: list[tuple[str, str | None]] = []

    async def execute(
        context: RequestContext, asked: RouteRequest, headers: Mapping[str, str], model: str | None
    ) -> bytes:
        text = json.loads(asked.body)["messages"][0]["content"]
        await asyncio.sleep(0.01)
        context.model = "opus"
        assert model == ("opus" if text in ("a2", "a3") else None)
        order.append((text, headers.get("x-centralcloud-session")))
        return b"{}"

    kind = {"metadata": {"taskType": "summary", "complexity": 5}}
    other = {"metadata": {"taskType": "summary", "complexity": 9}}
    sent = [*prompts("a1", "a2", "a3", **kind), *prompts("b1", **other), *prompts("c1", workspaceId="acme", **kind)]
    found = run(sent, execute)
    assert [each["group"] for each in found] == [0, 0, 0, 1, 2]
    texts = [text for text, _ in order]
    assert texts.index("a1") < min(texts.index("a2"), texts.index("a3")), "the first of a group runs before the others"
    sessions = dict(order)
    assert sessions["a1"] == sessions["a2"] == sessions["a3"] is not None
    assert (sessions["b1"], sessions["c1"]) == (None, None)
    order.clear()
    run(sent, execute, headers={"x-centralcloud-session": "own"})
    assert {session for _, session in order} == {"own"}


@pytest.mark.parametrize("most", [1, 3])
def test_only_so_many_requests_run_at_a_time(most: int) -> None:
    running, greatest = 0, 0

    async def execute(*_: Any) -> bytes:
        nonlocal running, greatest
        running += 1
        greatest = max(greatest, running)
        await asyncio.sleep(0.002)
        running -= 1
        return b"{}"

    levels = [{"prompt": "x", "metadata": {"complexity": 1 + number % 10}} for number in range(30)]
    assert all(each["status"] == "success" for each in run(levels, execute, most=most))
    assert greatest == most


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "requests"),
        ({"requests": []}, "requests"),
        ({"requests": [{}] * 101}, "requests"),
        ({"requests": {"prompt": "a"}}, "requests"),
        ({"requests": [{}], "concurrency": 0}, "concurrency"),
        ({"requests": [{}], "concurrency": 17}, "concurrency"),
        ({"requests": [{}], "concurrency": True}, "concurrency"),
        ({"requests": [{}], "model": "gpt"}, "model"),
    ],
)
def test_a_batch_out_of_bounds_is_refused_with_its_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        read_batch(body)
    assert refused.value.param == field
