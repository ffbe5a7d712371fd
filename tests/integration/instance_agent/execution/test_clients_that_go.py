"""Clients that go: the upstream is released within a second, and each attempt has exactly one outcome."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.executions import Bench, a_bench, a_request, read_all, run, until
from support.upstream.process import FakeUpstream

from instance_agent.chat.protocol import RequestHead
from instance_agent.chat.protocols import OPENAI
from instance_agent.execution.attempts import Attempt
from instance_agent.execution.circuit_breaker import BreakerSettings
from instance_agent.execution.reporting import STOPPED
from instance_agent.execution.request import ExecutionRequest
from instance_agent.execution.settings import ExecutionSettings

PROTOCOLS = ("openai", "anthropic")


async def leave(bench: Bench, work: Awaitable[Any], arrived: Callable[[], bool]) -> None:
    """Cancel the work once the request has arrived, as a server does when its client closes the connection."""
    task = asyncio.ensure_future(work)
    await until(arrived)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    seconds = await until(lambda: all(each["ended"] for each in bench.upstream.requests()))
    assert seconds < 1.0
    assert [each["ended"] for each in bench.upstream.requests()] == ["client gone"]


def check_record(bench: Bench) -> Attempt:
    (record,) = bench.records
    assert (record.outcome, record.error_kind) == ("failure", "caller")
    assert record.response_time_ms is None
    assert record.first_token_ms is None
    assert record.usage_estimated
    assert record.cost.estimated
    return record


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dialect", PROTOCOLS)
@pytest.mark.parametrize("behaviour", ["hang", "slow-headers=30"])
def test_a_client_of_a_whole_answer_goes(
    fake_upstream: FakeUpstream, protocol: str, dialect: str, behaviour: str
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            work = bench.executor.execute(bench.plan(f"{dialect}:m!{behaviour}", f"{dialect}:b"), a_request(protocol))
            await leave(bench, work, lambda: bool(fake_upstream.requests()))
            check_record(bench)

    run(scenario())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dialect", PROTOCOLS)
@pytest.mark.parametrize("behaviour", ["hang", "slow-first-token=30"])
@pytest.mark.parametrize("keep_alive", [None, 0.1])
def test_a_client_of_a_stream_goes_before_the_first_token(
    fake_upstream: FakeUpstream, protocol: str, dialect: str, behaviour: str, keep_alive: float | None
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream, ExecutionSettings(keep_alive_seconds=keep_alive)) as bench:
            plan = bench.plan(f"{dialect}:m!{behaviour}", f"{dialect}:b")

            async def work() -> None:
                await read_all(await bench.executor.stream(plan, a_request(protocol, stream=True)))

            await leave(bench, work(), lambda: bool(fake_upstream.requests()))
            check_record(bench)

    run(scenario())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dialect", PROTOCOLS)
@pytest.mark.parametrize("way", ["cancelled", "closed"])
def test_a_client_goes_in_the_midst_of_a_stream(
    fake_upstream: FakeUpstream, protocol: str, dialect: str, way: str
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            plan = bench.plan(f"{dialect}:m!hang-in-stream=5", f"{dialect}:b")
            request = a_request(protocol, "some words that are sent one by one", stream=True)
            received: list[bytes] = []

            async def work() -> None:
                async with await bench.executor.stream(plan, request) as stream:
                    while piece := await stream.read():
                        received.append(piece)
                        if way == "closed" and b"said" in b"".join(received):
                            raise asyncio.CancelledError

            await leave(bench, work(), lambda: b"said" in b"".join(received))
            record = check_record(bench)
            assert record.usage is not None
            assert (record.usage.output_tokens or 0) >= 2, "not less than the tokens that were sent"

    run(scenario())


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_of_a_forwarded_operation_goes(fake_upstream: FakeUpstream, stream: bool) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            body = json.dumps({"model": "auto", "input": "hello", "stream": stream}).encode()
            head = RequestHead(model="auto", text="", characters=5, messages=1, stream=stream)
            request = ExecutionRequest(request_id="r", protocol=OPENAI, head=head, body=body, operation="responses")
            plan = bench.plan("openai:m!hang", "openai:b")
            work = bench.executor.stream(plan, request) if stream else bench.executor.execute(plan, request)
            await leave(bench, work, lambda: bool(fake_upstream.requests()))
            check_record(bench)

    run(scenario())


@pytest.mark.parametrize("stream", [False, True])
def test_an_attempt_that_the_gateway_ends_says_so(fake_upstream: FakeUpstream, stream: bool) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            plan, request = bench.plan("openai:m!hang"), a_request(stream=stream)
            work = bench.executor.stream(plan, request) if stream else bench.executor.execute(plan, request)

            def sent() -> bool:
                bench.executor.stop()
                return bool(fake_upstream.requests())

            await leave(bench, work, sent)
            (record,) = bench.records
            assert (record.error_kind, record.error) == ("caller", STOPPED)

    run(scenario())


def test_a_client_that_goes_says_nothing_about_the_target(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream, breaker=BreakerSettings(consecutive_failures=1)) as bench:
            plan = bench.plan("openai:m!hang")
            await leave(bench, bench.executor.execute(plan, a_request()), lambda: bool(fake_upstream.requests()))
            assert bench.breakers.states(0.0) == {}

    run(scenario())


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("keep_alive", [None, 0.001])
def test_cancelled_at_any_await_each_attempt_has_exactly_one_outcome_and_no_probe_is_lost(
    fake_upstream: FakeUpstream, streamed: bool, keep_alive: float | None
) -> None:
    """Cancel the request after 0, 1, 2, ... turns of the event loop, until it is done before."""

    async def scenario() -> None:
        settings = ExecutionSettings(keep_alive_seconds=keep_alive)
        async with a_bench(fake_upstream, settings, BreakerSettings(consecutive_failures=1000)) as bench:
            plan = bench.plan("openai:bad!status=503", "openai:good!trickle=0.002")

            async def work() -> None:
                if streamed:
                    await read_all(await bench.executor.stream(plan, a_request(stream=True)))
                else:
                    await bench.executor.execute(plan, a_request())

            finished = turns = 0
            while finished < 3 and turns < 400:
                bench.records.clear()
                task = asyncio.create_task(work())
                for _ in range(turns):
                    await asyncio.sleep(0)
                    if turns % 7 == 0:
                        await asyncio.sleep(0.0005)  # time for the upstream
                done = task.done()
                task.cancel()
                await asyncio.wait({task})
                ids = [record.decision_id for record in bench.records]
                assert len(ids) == len(set(ids)) <= 2
                if done:
                    finished += 1
                    assert bench.records.outcomes == [("bad", "failure", "provider"), ("good", "success", None)]
                else:
                    assert all(record.error_kind in ("caller", "provider", None) for record in bench.records)
                for call in plan:
                    permit = bench.breakers.admit(call.target, asyncio.get_running_loop().time())
                    assert permit is not None
                    permit.said_nothing()
                turns += 1
            assert finished == 3
            await until(lambda: fake_upstream.state()["open"] == 0, 2.0)
            assert fake_upstream.state()["total"] > 5

    run(scenario(), 90)
