"""Executions against the fake upstream: a catalog of targets, an executor with a real transport, the records of its sink."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from instance_agent.catalog.configuration import build_configuration
from instance_agent.catalog.key_reader import KeyReader
from instance_agent.catalog.model import Model, Pricing, TimeLimits
from instance_agent.catalog.provider import Provider
from instance_agent.chat.protocols import ANTHROPIC, OPENAI
from instance_agent.execution.attempts import Attempt
from instance_agent.execution.breakers import Breakers
from instance_agent.execution.circuit_breaker import BreakerSettings
from instance_agent.execution.errors import ExecutionError
from instance_agent.execution.executor import Executor
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.request import ExecutionRequest
from instance_agent.execution.settings import ExecutionSettings
from instance_agent.execution.targets import CallTargets
from instance_agent.providers.calls import ProviderCalls
from instance_agent.providers.transport import Transport
from support.upstream.process import FakeUpstream

KEY = "sk-secret-0123456789abcdef"
CLIENT_PROTOCOLS = {each.name: each for each in (OPENAI, ANTHROPIC)}
#: 1 and 2 USD per million tokens.
PRICING = Pricing(input=1.0, output=2.0)


class Records(list[Attempt]):
    """Keeps the records of attempts."""

    def record(self, attempt: Attempt, context: Any) -> None:
        self.append(attempt)

    @property
    def outcomes(self) -> list[tuple[str, str, str | None]]:
        """Target, outcome and kind of error of each."""
        return [(each.call.target.model.name, each.outcome, each.error_kind) for each in self]


class Bench:
    """An executor with its parts."""

    def __init__(
        self,
        upstream: FakeUpstream,
        transport: Transport,
        settings: ExecutionSettings | None,
        breaker: BreakerSettings | None,
        **options: Any,
    ) -> None:
        self.upstream = upstream
        self._transport = transport
        self.records = Records()
        self.breakers = Breakers(breaker or BreakerSettings(jitter=0.0), seed=1)
        self.executor = Executor(ProviderCalls(transport), self.breakers, self.records, settings, seed=1, **options)
        self._targets: dict[str, PlannedCall] = {}

    def plan(self, *names: str, propensity: float | None = 0.5, **limits: float) -> list[PlannedCall]:
        """Return a plan of models: `openai:a`, or `anthropic:a!status=500` for a misbehaviour of the fake upstream.

        The same name is the same target, with its breaker. `dead:a` is a service at a closed port.
        """
        calls = [self._call(name, limits) for name in names]
        return [
            PlannedCall(
                target=call.target, reason="best" if n == 0 else "fallback", propensity=propensity if n == 0 else None
            )
            for n, call in enumerate(calls)
        ]

    def _call(self, name: str, limits: dict[str, float]) -> PlannedCall:
        if name not in self._targets:
            provider, _, version = name.partition(":")
            url = {"gemini": self.upstream.gemini_url, "dead": "http://127.0.0.1:9/v1"}.get(
                provider, self.upstream.openai_url
            )
            dialect = "openai" if provider == "dead" else provider
            configuration = build_configuration(
                [
                    Model(
                        name=version.partition("!")[0],
                        version=version,
                        provider=provider,
                        pricing=PRICING,
                        time_limits=TimeLimits(**{f"{phase}_seconds": value for phase, value in limits.items()}),
                    )
                ],
                [Provider(provider=provider, dialect=dialect, base_url=url, api_key="env:FAKE_KEY")],
                keys=KeyReader({"FAKE_KEY": KEY}),
            )
            targets = CallTargets(configuration)
            (target,) = configuration.targets_of(version.partition("!")[0])
            self._targets[name] = PlannedCall(target=targets.ready(target))
        return self._targets[name]

    def transport_connections(self) -> int:
        """Count the connections that are open to upstreams, idle ones included."""
        connector = self._transport._session.connector
        assert connector is not None
        return sum(len(each) for each in connector._conns.values()) + len(connector._acquired)

    def transport_connections_lost(self) -> int:
        """Count the connections in use that have broken: their end was seen, whatever is still unread."""
        connector = self._transport._session.connector
        assert connector is not None
        return sum(not each.is_connected() for each in list(connector._acquired))

    def calls_of(self, version: str) -> int:
        """Count the requests that arrived at the fake upstream for a model."""
        return len(self.upstream.requests(version))


@asynccontextmanager
async def a_bench(
    upstream: FakeUpstream,
    settings: ExecutionSettings | None = None,
    breaker: BreakerSettings | None = None,
    **options: Any,
) -> AsyncIterator[Bench]:
    """Open the transport of an executor, and close it."""
    async with Transport() as transport:
        yield Bench(upstream, transport, settings, breaker, **options)


def run(scenario: Coroutine[Any, Any, None], seconds: float = 60.0) -> None:
    """Run a coroutine to its end, with a deadline."""
    asyncio.run(asyncio.wait_for(scenario, seconds))


def a_request(
    protocol: str = "openai", text: str = "hello there", *, stream: bool = False, tenant: str = "", **fields: Any
) -> ExecutionRequest:
    """Return a request of a client."""
    body: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": text}], "stream": stream}
    if protocol == "anthropic":
        body["max_tokens"] = 100
    body |= fields
    raw = json.dumps(body).encode()
    spoken = CLIENT_PROTOCOLS[protocol]
    return ExecutionRequest(
        request_id="r-1", protocol=spoken, head=spoken.read_head(raw), body=raw, tenant=tenant, context={"n": 1}
    )


async def read_all(stream: Any) -> bytes:
    """Read a stream to its end, and leave it."""
    pieces = []
    async with stream:
        while piece := await stream.read():
            pieces.append(piece)
    return b"".join(pieces)


async def until(condition: Callable[[], bool], within_seconds: float = 5.0) -> float:
    """Wait for a condition without blocking the loop; return the seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not await asyncio.to_thread(condition):
        assert loop.time() - began < within_seconds, "the condition did not come in time"
        await asyncio.sleep(0.02)  # the interval between two checks
    return loop.time() - began


def chosen_text(body: bytes) -> str:
    """Return the text of a whole answer in either protocol."""
    answer = json.loads(body)
    if "choices" in answer:
        return str(answer["choices"][0]["message"]["content"])
    return "".join(part.get("text", "") for part in answer["content"])


async def failure(bench: Bench, *names: str, protocol: str = "openai", **limits: float) -> ExecutionError:
    """Return the error of a request that a client of a protocol sends to these targets."""
    with pytest.raises(ExecutionError) as caught:
        await bench.executor.execute(bench.plan(*names, **limits), a_request(protocol))
    return caught.value
