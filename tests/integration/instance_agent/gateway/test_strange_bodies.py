"""Bodies that no client should send: each gets an answer in the form of errors, and none of them is a bug in the log."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.gateways import Gateway, a_key, start_gateway
from support.programs import Program
from support.upstream.process import FakeUpstream

from instance_agent.gateway.openapi.operations import OPERATIONS

STRANGE: list[Any] = [
    None, True, -1, 0, 1e308, 10**400, "", "\0", "\ud800", "a\u202eb", "x" * 70_000, [], {}, [[]] * 5, "NaN", 1.5,
    "169.254.169.254", {"a": {"b": [1, {"c": None}]}},
]  # fmt: skip
REQUESTS = 400


def changed(value: Any, chance: random.Random) -> Any:
    """Return a value with one part of it replaced by a strange one."""
    if isinstance(value, dict) and value and chance.random() < 0.75:
        name = chance.choice(list(value))
        return {**value, name: changed(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.6:
        return [changed(value[0], chance), *value[1:]]
    return chance.choice(STRANGE)


def test_strange_bodies_are_refused_in_the_form_of_errors(
    start: Callable[..., Program], tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    gateway: Gateway = start_gateway(start, tmp_path, fake_upstream, database_url, key=a_key(database_url, "admin"))
    examples = [
        (method, path.replace("{id}", "m"), operation.example)
        for (method, path), operation in OPERATIONS.items()
        if operation.example is not None
    ]
    gateway.call("POST", "/api/models", {"name": "m", "version": "m", "provider": "alpha"})
    chance = random.Random(13)
    statuses = set()
    for _ in range(REQUESTS):
        method, path, example = chance.choice(examples)
        body = json.dumps(changed(example, chance)).encode()
        if chance.random() < 0.05:
            body = body[: chance.randrange(len(body))]
        reply = gateway.call(method, path, body)
        statuses.add(reply.status)
        assert reply.status < 500, (method, path, body[:500], reply.body)
        if reply.status >= 400:
            assert reply.error["message"]
    assert {200, 400, 422} <= statuses
    assert "gateway_request_failed" not in gateway.program.events()
