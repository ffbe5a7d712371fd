"""Whole answers through the executor, from the fake upstream. Attempts are counted at the upstream."""

import asyncio
import json
import time
from typing import Any

import pytest
from support.executions import KEY, Bench, a_bench, a_request, chosen_text, run
from support.upstream.process import FakeUpstream

from instance_agent.chat.errors import ChatError, UnsupportedFeatureError
from instance_agent.execution.breakers import BreakerChange
from instance_agent.execution.circuit_breaker import BreakerSettings
from instance_agent.execution.errors import ExecutionError
from instance_agent.execution.settings import ExecutionSettings
from instance_agent.execution.validators import AnswerChecks
from instance_agent.execution.walk import WalkSettings

PROTOCOLS = ("openai", "anthropic")
DIALECTS = ("openai", "anthropic", "gemini")


async def failure(bench: Bench, *names: str, protocol: str = "openai", **limits: float) -> ExecutionError:
    with pytest.raises(ExecutionError) as caught:
        await bench.executor.execute(bench.plan(*names, **limits), a_request(protocol))
    return caught.value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_client_of_each_protocol_gets_the_answer_of_each_dialect(
    fake_upstream: FakeUpstream, protocol: str, dialect: str
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            answer = await bench.executor.execute(bench.plan(f"{dialect}:m"), a_request(protocol))
            assert chosen_text(answer.body) == "You said: hello there"
            (record,) = bench.records
            assert record is answer.attempt
            assert (record.outcome, record.finish_reason, record.http_status) == ("success", "stop", 200)
            assert record.usage is not None
            assert not record.usage_estimated
            tokens = record.usage.input_tokens, record.usage.output_tokens
            assert tokens == (12, 4)
            assert (record.cost.nano_usd, record.cost.source) == (12_000 + 8_000, "catalog")
            assert record.response_time_ms is not None
            assert record.propensity == 0.5

    run(scenario())


def test_bytes_go_through_where_client_and_provider_speak_the_same(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            request = a_request(invented_tomorrow={"deep": [1, 2]})
            await bench.executor.execute(bench.plan("openai:sent-as"), request)
            sent = fake_upstream.last_body()
            assert sent["model"] == "sent-as"
            assert sent["invented_tomorrow"] == {"deep": [1, 2]}

    run(scenario())


def test_losses_of_a_translation_are_reported(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            answer = await bench.executor.execute(bench.plan("anthropic:m"), a_request(logit_bias={"1": 2}, seed=7))
            assert "logit_bias" in answer.losses

    run(scenario())


def test_a_target_without_an_equivalent_is_passed_over_without_an_attempt(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            answer = await bench.executor.execute(bench.plan("anthropic:a", "openai:b"), a_request(n=2))
            assert answer.target == "b@openai"
            assert [(each.number, each.propensity) for each in bench.records] == [(1, None)]
            with pytest.raises(UnsupportedFeatureError):
                await bench.executor.execute(bench.plan("anthropic:a"), a_request(n=2))
            assert bench.calls_of("a") == 0

    run(scenario())


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


def test_after_a_failure_the_next_target_comes_first(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            await bench.executor.execute(bench.plan("openai:a!status=500", "openai:b"), a_request())
            assert [each["model"] for each in fake_upstream.requests()] == ["a!status=500", "b"]

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


def test_failing_over_from_a_dead_provider_takes_seconds_and_shows_no_error(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            began = time.monotonic()
            plan = bench.plan("openai:a!hang", "openai:b", first_byte=1.0)
            answers = await asyncio.gather(*(bench.executor.execute(plan, a_request()) for _ in range(20)))
            assert {answer.target for answer in answers} == {"b@openai"}
            assert time.monotonic() - began < 5.0

    run(scenario())


@pytest.mark.parametrize(
    ("behaviour", "fields", "defect"),
    [
        ("empty-answer", {}, "empty_answer"),
        ("invalid-form", {"response_format": {"type": "json_object"}}, None),
        ("malformed-arguments", {"tools": [{"type": "function", "function": {"name": "f"}}]}, "invalid_arguments"),
    ],
)
def test_a_defect_is_a_failure_for_learning_and_the_client_gets_the_answer(
    fake_upstream: FakeUpstream, behaviour: str, fields: dict[str, object], defect: str | None
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            name = f"openai:a!{behaviour}" if defect else "openai:a"
            answer = await bench.executor.execute(bench.plan(name, "openai:b"), a_request(**fields))
            assert json.loads(answer.body)["choices"]
            (record,) = bench.records
            assert record.defect == defect
            assert record.error_kind == ("provider" if defect else None)
            assert bench.breakers.states(0.0) == {}

    run(scenario())


def test_a_schema_that_is_not_met_is_a_defect(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city", "never given"]}
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        async with a_bench(fake_upstream) as bench:
            await bench.executor.execute(bench.plan("openai:a"), a_request(response_format=form))
            assert bench.records[0].defect == "not_of_schema"

    run(scenario())


def test_by_option_a_defect_leads_to_another_target_once(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        settings = ExecutionSettings(next_on_defect=True, checks=AnswerChecks(cut_off=True))
        async with a_bench(fake_upstream, settings) as bench:
            answer = await bench.executor.execute(bench.plan("openai:a!empty-answer", "openai:b"), a_request())
            assert answer.target == "b@openai"
            names = [f"openai:{name}!empty-answer" for name in "cde"]
            await bench.executor.execute(bench.plan(*names), a_request())
            assert [bench.calls_of(f"{name}!empty-answer") for name in "cde"] == [1, 1, 0]
            kept = await bench.executor.execute(bench.plan("openai:f!truncated", "openai:g!status=400"), a_request())
            assert kept.target == "f@openai", "an answer with a defect is better than none"

    run(scenario())


def test_a_filtered_answer_is_blameless(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            await bench.executor.execute(bench.plan("openai:a!content-filter"), a_request())
            assert bench.records.outcomes == [("a", "failure", "policy")]

    run(scenario())


def test_the_cost_that_the_provider_reports_comes_first_and_missing_usage_is_estimated(
    fake_upstream: FakeUpstream,
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            for name in ("openai:a!cost=0.000123", "openai:b!usage-missing"):
                await bench.executor.execute(bench.plan(name), a_request())
            reported, estimated = bench.records
            assert (reported.cost.nano_usd, reported.cost.source) == (123_000, "provider")
            assert estimated.usage_estimated
            assert estimated.cost.estimated
            assert estimated.usage is not None
            assert (estimated.usage.output_tokens or 0) >= 4
            assert (estimated.cost.nano_usd or 0) > 0

    run(scenario())


def test_an_invalid_request_is_the_callers_error_and_reaches_no_upstream(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            with pytest.raises(ChatError) as caught:
                await bench.executor.execute(bench.plan("anthropic:a"), a_request(temperature="hot"))
            assert caught.value.status == 400
            assert fake_upstream.state()["total"] == 0
            assert bench.records == []

    run(scenario())
