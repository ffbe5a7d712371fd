"""The parts of requests that tests with the clients of others share."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from support.upstream.process import FakeUpstream
from support.waiting import eventually

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
#: The models of the gateway's catalog, each at another protocol, and the choice among them.
MODELS = ["gpt", "opus", "flash", "auto"]
#: The providers of the gateway's catalog: openai, anthropic, gemini.
PROVIDERS = ["alpha", "beta", "gamma"]

#: A provider of each protocol, and whether the answer is a stream.
FAILING = [("alpha", False), ("beta", True), ("gamma", False)]
#: Failures of a provider, each with the class of the error that the clients of both vendors raise.
FAILURES = [
    ("status=500", "InternalServerError"),
    ("status=429+retry-after=7", "RateLimitError"),
    ("bad-request", "BadRequestError"),
    ("context-length", "BadRequestError"),
    ("policy", "BadRequestError"),
]


def check_failure(error: Any, behaviour: str, name: str) -> None:
    """Check the error of a vendor's client after a failure of `FAILURES`."""
    assert type(error).__name__ == name
    assert "sk-upstream" not in str(error)
    assert error.request_id == error.response.headers["x-centralcloud-request-id"]
    if "retry-after" in behaviour:
        assert 0 < int(error.response.headers["retry-after"]) <= 7


class ImportedWhenUsed:
    """A package with a vendor's client, imported by the first test that uses it: importing one takes a second.

    The test is skipped where the package is not installed.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pytest's search for fixtures reads such attributes of all that a module has
            raise AttributeError(name)
        return getattr(pytest.importorskip(self._name, reason="the vendors' clients are in the extra `clients`"), name)


def words(text: str = "hello there") -> Any:
    """Return the messages of a request."""
    return [{"role": "user", "content": text}]


def wait_until_upstream_is_free(upstream: FakeUpstream, model: str | None = None) -> None:
    """Wait until the upstream has noticed that its client has gone."""
    eventually(
        lambda: [each["ended"] for each in upstream.requests(model)] == ["client gone"],
        within_seconds=2.0,
        what="the end of the request at the upstream",
    )


async def cancel_once_upstream_has_it(call: Coroutine[Any, Any, Any], upstream: FakeUpstream) -> None:
    """Start a call, cancel it when its request is at the upstream, and wait until that is free again."""
    task = asyncio.create_task(call)
    deadline = time.monotonic() + 10
    while not await asyncio.to_thread(upstream.requests):
        assert not task.done(), task.exception()
        assert time.monotonic() < deadline, "the request did not reach the upstream"
        await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await asyncio.to_thread(wait_until_upstream_is_free, upstream)
