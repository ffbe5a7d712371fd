"""Processor time of execution around the transport: one plain answer of 2 kB, and one stream of 10 pieces.

    python benchmarks/execution.py

The transport is replaced by bytes in memory, so that the figures hold the walk over the plan, the breakers, translation or
forwarding, the checks, the cost and the record of the attempt, and nothing of the network.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from instance_agent.catalog.configuration import build_configuration
from instance_agent.catalog.model import Model, Pricing
from instance_agent.catalog.provider import Provider
from instance_agent.chat.protocol import ClientProtocol
from instance_agent.chat.protocols import ANTHROPIC, OPENAI
from instance_agent.execution.breakers import Breakers
from instance_agent.execution.executor import Executor
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.request import ExecutionRequest
from instance_agent.execution.targets import CallTargets

ROUNDS = 5
CALLS = 1_000
TEXT = "The quick brown fox jumps over the lazy dog. " * 36
USAGE = {"prompt_tokens": 300, "completion_tokens": 400, "total_tokens": 700}


class Memory:
    """Stands for the calls of providers: answers from memory."""

    def __init__(self, whole: bytes, pieces: list[bytes]) -> None:
        self._whole = whole
        self._pieces = pieces

    async def body(self, *_: object) -> bytes:
        return self._whole

    @asynccontextmanager
    async def open_stream(self, *_: object) -> AsyncIterator["Pieces"]:
        yield Pieces(self._pieces)


class Pieces:
    at_end = True

    def __init__(self, pieces: list[bytes]) -> None:
        self._left = iter(pieces)

    def lift_deadline(self) -> None:
        return

    async def next_piece(self) -> bytes:
        return next(self._left, b"")


class Sink:
    def record(self, attempt: Any, context: Any) -> None:
        pass


def whole_answer() -> bytes:
    message = {"role": "assistant", "content": TEXT, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
    return json.dumps(body).encode()


def pieces_of_a_stream() -> list[bytes]:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": "some words of it "}] * 7
    events = [{**head, "choices": [{"index": 0, "delta": each, "finish_reason": None}]} for each in deltas]
    events.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events.append({**head, "choices": [], "usage": USAGE})
    lines = [b"data: " + json.dumps(each).encode() + b"\n\n" for each in events]
    lines[-1] += b"data: [DONE]\n\n"
    return lines


def planned(dialect: str) -> list[PlannedCall]:
    models = [
        Model(name=f"m{number}", provider="p", pricing=Pricing(input=1, output=2), complexity_scores={"simple": 3.0})
        for number in range(3)
    ]
    configuration = build_configuration(models, [Provider(provider="p", dialect=dialect, base_url="http://h/v1")])
    ready = CallTargets(configuration)
    return [PlannedCall(target=ready.ready(configuration.targets_of(model.name)[0])) for model in models]


async def median(work: Callable[[], Awaitable[None]]) -> float:
    """Return the median of the processor time of one call, in microseconds."""
    await work()
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS):
            await work()
        found.append((time.process_time() - began) / CALLS * 1e6)
    return sorted(found)[ROUNDS // 2]


async def measure(executor: Executor, protocol: ClientProtocol) -> None:
    """Print the figures for clients of one protocol; the provider speaks OpenAI's."""
    body = {"model": "auto", "messages": [{"role": "user", "content": TEXT}], "max_tokens": 500, "stream": False}
    plain = json.dumps(body).encode()
    streamed = json.dumps({**body, "stream": True}).encode()
    plan = planned("openai")

    def request(sent: bytes) -> ExecutionRequest:
        return ExecutionRequest(request_id="r", protocol=protocol, head=protocol.read_head(sent), body=sent)

    async def ask() -> None:
        await executor.execute(plan, request(plain))

    async def read() -> None:
        async with await executor.stream(plan, request(streamed)) as answer:
            while await answer.read():
                pass

    how = "forwarded" if protocol is OPENAI else "translated"
    print(f"{protocol.name} client, {how}: plain {await median(ask):.0f} us, stream {await median(read):.0f} us")


async def main() -> None:
    whole, stream = whole_answer(), pieces_of_a_stream()
    print(f"plain answer of {len(whole):,} bytes, stream of {len(stream)} pieces; processor time, median of {ROUNDS}")
    calls: Any = Memory(whole, stream)
    executor = Executor(calls, Breakers(), Sink())
    for protocol in (OPENAI, ANTHROPIC):
        await measure(executor, protocol)


if __name__ == "__main__":
    asyncio.run(main())
