"""Whole answers through the executor, from the fake upstream: translation, defects, usage and cost."""

import json

import pytest
from support.executions import a_bench, a_request, chosen_text, run
from support.upstream.process import FakeUpstream

from instance_agent.chat.errors import ChatError, UnsupportedFeatureError
from instance_agent.execution.settings import ExecutionSettings
from instance_agent.execution.validators import AnswerChecks

PROTOCOLS = ("openai", "anthropic")
DIALECTS = ("openai", "anthropic", "gemini")


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
