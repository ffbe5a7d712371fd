"""Whole answers that fail: attempts, deadlines and what is tried elsewhere. Attempts are counted at the upstream."""

import asyncio
import time

import pytest
from support.executions import KEY, a_bench, a_request, failure, run
from support.upstream.process import FakeUpstream

from instance_agent.execution.breakers import BreakerChange
from instance_agent.execution.circuit_breaker import BreakerSettings
from instance_agent.execution.settings import ExecutionSettings
from instance_agent.execution.walk import WalkSettings

PROTOCOLS = ("openai", "anthropic")
DIALECTS = ("openai", "anthropic", "gemini")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_all_upstreams_rate_limited_cost_three_attempts_whatever_the_chain(
    fake_upstream: FakeUpstream, protocol: str, dialect: str
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            names = [f"{dialect}:m{n}!status=429" for n in range(10)]
            error = await failure(bench, *names, protocol=protocol)
            assert fake_upstream.state()["total"] == 3
            assert (error.status, error.attempts) == (429, 3)
            assert [each.number for each in bench.records] == [1, 2, 3]
            assert [each.propensity for each in bench.records] == [0.5, None, None]

    run(scenario())


def test_an_exhausted_chain_is_one_error_within_the_deadline(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        settings = ExecutionSettings(walk=WalkSettings(deadline_seconds=5.0))
        async with a_bench(fake_upstream, settings) as bench:
            began = time.monotonic()
            error = await failure(bench, "openai:a!status=500", "openai:b!status=503")
            assert time.monotonic() - began < 5.0
            assert error.attempts == 3
            assert fake_upstream.state()["total"] == 3
            assert error.retry_is_safe

    run(scenario())


def test_a_deadline_ends_a_request_whose_upstreams_hang(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        settings = ExecutionSettings(walk=WalkSettings(deadline_seconds=0.5))
        async with a_bench(fake_upstream, settings) as bench:
            began = time.monotonic()
            error = await failure(bench, "openai:a!hang", "openai:b!hang")
            assert 0.4 < time.monotonic() - began < 3.0
            assert error.status == 504
            (record,) = bench.records
            assert (record.error_kind, record.usage_estimated) == ("timeout", True)

    run(scenario())


def test_a_later_attempt_that_the_deadline_ends_is_not_blamed(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        settings = ExecutionSettings(walk=WalkSettings(deadline_seconds=0.8))
        async with a_bench(fake_upstream, settings, BreakerSettings(consecutive_failures=1)) as bench:
            await failure(bench, "openai:a!slow-headers=0.4+status=503", "openai:b!hang")
            assert bench.records.outcomes == [("a", "failure", "provider"), ("b", "failure", "caller")]
            assert bench.records[1].usage_estimated
            assert [key.partition("@")[0] for key in bench.breakers.states(0.0)] == ["a"]

    run(scenario())


def test_a_time_out_after_the_request_was_sent_is_tried_elsewhere_once(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            error = await failure(bench, *(f"openai:m{n}!hang" for n in range(4)), first_byte=0.3)
            assert fake_upstream.state()["total"] == 2
            assert error.status == 504
            assert not error.retry_is_safe, "both may be billed"
            answer = await bench.executor.execute(
                bench.plan("openai:m9!hang", "openai:good", first_byte=0.3), a_request()
            )
            assert answer.target == "good@openai"
            assert bench.calls_of("m9!hang") == 1
            first = bench.records[-2]
            assert first.usage_estimated
            assert first.cost.nano_usd
            assert first.cost.estimated

    run(scenario())


@pytest.mark.parametrize(
    "behaviour", ["reset", "empty-body", "invalid-json", "cut-answer", "bad-gzip", "html", "error-in-200"]
)
def test_answers_that_cannot_be_read_are_failures_of_the_provider_and_fall_back(
    fake_upstream: FakeUpstream, behaviour: str
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            answer = await bench.executor.execute(bench.plan(f"openai:bad!{behaviour}", "openai:good"), a_request())
            assert answer.target == "good@openai"
            assert bench.records.outcomes == [("bad", "failure", "provider"), ("good", "success", None)]
            assert bench.calls_of(f"bad!{behaviour}") == 1

    run(scenario())


@pytest.mark.parametrize(
    ("behaviour", "kind", "status"),
    [
        ("bad-request", "caller", 400),
        ("context-length", "caller", 400),
        ("policy", "policy", 400),
        ("echo-key", "provider", 502),
        ("model-missing", "provider", 502),
        ("status=403", "caller", 403),
        ("status=422", "caller", 422),
    ],
)
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_other_client_errors_are_never_tried_again_nor_elsewhere(
    fake_upstream: FakeUpstream, behaviour: str, kind: str, status: int, dialect: str
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            error = await failure(bench, f"{dialect}:a!{behaviour}", f"{dialect}:b")
            assert fake_upstream.state()["total"] == 1
            assert (error.status, error.error_kind) == (status, kind)
            assert not error.retry_is_safe
            (record,) = bench.records
            assert record.error_kind == kind
            assert (record.response_time_ms is None) == (kind == "caller")
            assert record.cost.nano_usd is None, "it was not run"

    run(scenario())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_key_that_the_provider_echoes_is_nowhere(fake_upstream: FakeUpstream, dialect: str) -> None:
    async def scenario() -> None:
        changes: list[BreakerChange] = []
        async with a_bench(fake_upstream) as bench:
            bench.breakers._on_change = changes.append
            plan = bench.plan(f"{dialect}:a!echo-key")
            error = await failure(bench, f"{dialect}:a!echo-key")
            later = await failure(bench, f"{dialect}:a!echo-key")
            assert KEY in str(fake_upstream.requests()[0]["headers"]), "it was sent"
            shown = [error.message, later.message, *map(repr, (bench.records, changes, plan, vars(error)))]
            assert changes
            assert KEY[8:16] not in " ".join(shown)

    run(scenario())


def test_a_service_that_cannot_be_reached_is_left_at_once(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            began = time.monotonic()
            answer = await bench.executor.execute(bench.plan("dead:a", "openai:b"), a_request())
            assert answer.target == "b@openai"
            assert time.monotonic() - began < 5.0
            assert bench.records[0].http_status is None
            assert not bench.records[0].usage_estimated, "nothing was run"

    run(scenario())


def test_after_a_failure_the_next_target_comes_first(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            await bench.executor.execute(bench.plan("openai:a!status=500", "openai:b"), a_request())
            assert [each["model"] for each in fake_upstream.requests()] == ["a!status=500", "b"]

    run(scenario())


def test_failing_over_from_a_dead_provider_takes_seconds_and_shows_no_error(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            began = time.monotonic()
            plan = bench.plan("openai:a!hang", "openai:b", first_byte=1.0)
            answers = await asyncio.gather(*(bench.executor.execute(plan, a_request()) for _ in range(20)))
            assert {answer.target for answer in answers} == {"b@openai"}
            assert time.monotonic() - began < 5.0

    run(scenario())
