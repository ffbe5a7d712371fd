"""Targets that failed before: when they are called again. Calls are counted at the upstream."""

import asyncio
from typing import Any

import pytest
from support.executions import a_bench, a_request, failure, run
from support.upstream.process import FakeUpstream

from instance_agent.execution.circuit_breaker import BreakerSettings
from instance_agent.execution.errors import ExecutionError


def test_a_wrong_key_marks_its_target_and_later_requests_go_elsewhere(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            await failure(bench, "openai:a!status=401", "anthropic:b")
            for _ in range(3):
                answer = await bench.executor.execute(bench.plan("openai:a!status=401", "anthropic:b"), a_request())
                assert answer.target == "b@anthropic"
            assert bench.calls_of("a!status=401") == 1

    run(scenario())


@pytest.mark.parametrize(
    ("behaviour", "fields", "marked"),
    [
        ("status=404", {}, True),
        ("status=405", {}, True),
        ("status=403", {}, False),
        ("status=404", {"service_tier": "flex"}, False),
        ("status=404", {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}, False),
    ],
)
def test_wrong_requests_of_one_caller_mark_no_target_unless_no_such_request_can_be_at_fault(
    fake_upstream: FakeUpstream, behaviour: str, fields: dict[str, Any], marked: bool
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            plan = bench.plan(f"openai:a!{behaviour}")
            for _ in range(4):
                with pytest.raises(ExecutionError):
                    await bench.executor.execute(plan, a_request(**fields))
            assert (bench.breakers.states(bench.executor._clock()) != {}) == marked

    run(scenario())


@pytest.mark.parametrize("name", ["openai:a!status=429+retry-after=7", "anthropic:a!status=429+retry-after=7"])
def test_retry_after_reaches_the_client_and_is_kept(fake_upstream: FakeUpstream, name: str) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            error = await failure(bench, name)
            assert error.retry_after_seconds is not None
            assert 6.0 < error.retry_after_seconds <= 7.0
            again = await failure(bench, name)
            assert again.status == 429
            assert again.retry_after_seconds is not None
            assert again.retry_after_seconds <= 7.0
            assert fake_upstream.state()["total"] == 1, "a target that is cooling is not called"

    run(scenario())


def test_with_every_target_cooling_the_soonest_return_is_given(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            error = await failure(bench, "openai:a!status=429+retry-after=30", "openai:b!status=429+retry-after=12")
            assert error.retry_after_seconds == pytest.approx(12, abs=1)

    run(scenario())


def test_twenty_five_errors_cool_a_target_and_leave_the_other_to_work(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            for _ in range(25):
                answer = await bench.executor.execute(bench.plan("openai:a!status=500", "openai:b"), a_request())
                assert answer.target == "b@openai"
            assert bench.calls_of("a!status=500") == 5
            assert bench.calls_of("b") == 25

    run(scenario())


def test_the_only_target_is_still_tried_once_a_request_after_its_breaker_has_opened(
    fake_upstream: FakeUpstream,
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            for _ in range(25):
                await failure(bench, "openai:a!status=500")
            # Two requests of three and two attempts open it; then one attempt each.
            assert bench.calls_of("a!status=500") == 3 + 2 + 23

    run(scenario())


def test_at_half_open_exactly_one_of_a_herd_reaches_the_target(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        breaker = BreakerSettings(consecutive_failures=1, open_seconds=0.3, jitter=0.0)
        async with a_bench(fake_upstream, breaker=breaker) as bench:
            fake_upstream.behave("status=500", times=1, model="a")
            plan = bench.plan("openai:a", "openai:b")
            await bench.executor.execute(plan, a_request())
            await asyncio.sleep(0.35)  # the breaker's opening
            fake_upstream.behave("slow-headers=0.5", model="a")
            answers = await asyncio.gather(*(bench.executor.execute(plan, a_request()) for _ in range(30)))
            assert bench.calls_of("a") == 2, "the failure, and one probe"
            assert sum(answer.target == "a@openai" for answer in answers) == 1

    run(scenario())


def test_a_herd_on_the_only_target_waits_for_the_probe_and_then_passes(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        breaker = BreakerSettings(consecutive_failures=1, open_seconds=60.0)
        async with a_bench(fake_upstream, breaker=breaker) as bench:
            fake_upstream.behave("status=500", times=1, model="a")
            plan = bench.plan("openai:a")
            with pytest.raises(ExecutionError):
                await bench.executor.execute(plan, a_request())
            fake_upstream.behave("slow-headers=0.4", times=1, model="a")
            answers = await asyncio.gather(*(bench.executor.execute(plan, a_request()) for _ in range(20)))
            assert len(answers) == 20
            times = sorted(each["began"] for each in fake_upstream.requests("a")[1:])
            assert times[1] - times[0] > 0.4, "one probe, and the others after it"

    run(scenario())
