"""Responses that pass through: usage, first token, finish and errors are known, and the client's bytes are untouched."""

import asyncio
import json
from typing import Any

import pytest
from support.executions import Bench, a_bench, read_all, run, until
from support.upstream.process import FakeUpstream

from instance_agent.chat.errors import ChatError, UnsupportedFeatureError
from instance_agent.chat.protocol import RequestHead
from instance_agent.chat.protocols import OPENAI
from instance_agent.execution.errors import ExecutionError
from instance_agent.execution.request import ExecutionRequest

TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
SCHEMA = {
    "type": "object",
    "required": ["the_name_of_the_city"],
    "properties": {"the_name_of_the_city": {"type": "integer"}},
}


def a_response(*, stream: bool = False, **fields: Any) -> ExecutionRequest:
    body = {"model": "auto", "input": "hello there", "stream": stream, **fields}
    head = RequestHead(
        model="auto",
        text="hello there",
        characters=11,
        messages=1,
        stream=stream,
        tools=len(fields.get("tools", ())),
        response_format="json_schema" if "text" in fields else None,
    )
    return ExecutionRequest(
        request_id="r", protocol=OPENAI, head=head, body=json.dumps(body).encode(), operation="responses"
    )


async def answer_of(bench: Bench, plan: list[Any], *, stream: bool, **fields: Any) -> bytes:
    request = a_response(stream=stream, **fields)
    if stream:
        return await read_all(await bench.executor.stream(plan, request))
    return (await bench.executor.execute(plan, request)).body


def events_of(stream: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in stream.decode().splitlines() if line.startswith("data: ")]


@pytest.mark.parametrize("stream", [False, True])
def test_usage_finish_and_cost_are_read_along(fake_upstream: FakeUpstream, stream: bool) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            body = await answer_of(bench, bench.plan("openai:m"), stream=stream)
            await answer_of(bench, bench.plan("openai:t"), stream=stream, tools=[TOOL])
            await answer_of(bench, bench.plan("openai:l!truncated"), stream=stream)
            await answer_of(bench, bench.plan("openai:c!cost=0.25"), stream=stream)
            whole = events_of(body)[-1]["response"] if stream else json.loads(body)
            assert whole["output"][0]["content"][0]["text"] == "You said: hello there"
            plain, tool, cut, priced = bench.records
            assert plain.usage is not None
            assert (plain.usage.input_tokens, plain.usage.output_tokens) == (
                whole["usage"]["input_tokens"], whole["usage"]["output_tokens"],
            )  # fmt: skip
            assert not plain.usage_estimated
            assert [each.finish_reason for each in bench.records[:3]] == ["stop", "tool_calls", "length"]
            assert [each.outcome for each in bench.records] == ["success"] * 4
            assert priced.cost.nano_usd == 250_000_000
            assert (plain.first_token_ms is not None) is stream
            assert tool.defect is None
            assert cut.defect is None

    run(scenario())


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_checked_as_a_chat_is(fake_upstream: FakeUpstream, stream: bool) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            await answer_of(bench, bench.plan("openai:e!empty-answer"), stream=stream)
            await answer_of(bench, bench.plan("openai:a!malformed-arguments"), stream=stream, tools=[TOOL])
            form = {"format": {"type": "json_schema", "name": "city", "schema": SCHEMA}}
            await answer_of(bench, bench.plan("openai:s"), stream=stream, text=form)
            await answer_of(bench, bench.plan("openai:w!truncated"), stream=stream, text=form)
            kinds = [record.defect for record in bench.records]
            assert kinds == ["empty_answer", "invalid_arguments", None, "not_json"]

    run(scenario())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("missing", ["status=404", "status=405"])
def test_a_provider_without_responses_is_passed_over_and_stays_good_for_chats(
    fake_upstream: FakeUpstream, stream: bool, missing: str
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            plan = bench.plan(f"openai:a!{missing}", "openai:b")
            await answer_of(bench, plan, stream=stream)
            assert [record.outcome for record in bench.records] == ["failure", "success"]
            assert bench.records[0].error_kind == "caller", "it says nothing about the model"
            assert bench.breakers.states(0.0) == {}
            await answer_of(bench, plan, stream=stream)
            assert bench.calls_of(f"a!{missing}") == 1, "it is not asked again and again"
            with pytest.raises(UnsupportedFeatureError, match="does not have the operation responses"):
                await answer_of(bench, bench.plan("openai:c!status=404", "anthropic:d"), stream=stream)

    run(scenario())


def test_a_404_that_names_the_model_is_a_matter_of_the_catalog(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            with pytest.raises(ExecutionError):
                await answer_of(bench, bench.plan("openai:a!model-missing", "openai:b"), stream=False)
            assert set(bench.breakers.states(0.0).values()) == {"misconfigured"}

    run(scenario())


def test_a_failure_before_the_first_token_goes_to_the_next_target(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            for failing in ("error-first-event", "role-then-error"):
                stream = await answer_of(bench, bench.plan(f"openai:{failing}!{failing}", "openai:b"), stream=True)
                assert events_of(stream)[-1]["type"] == "response.completed"
                assert b"overloaded" not in stream

    run(scenario())


@pytest.mark.parametrize("failing", ["die=5", "error-event=5"])
def test_a_failure_in_mid_stream_is_a_typed_error_event(fake_upstream: FakeUpstream, failing: str) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            stream = await answer_of(bench, bench.plan(f"openai:m!{failing}", "openai:b"), stream=True)
            found = events_of(stream)
            assert found[3]["type"] == "response.output_text.delta"
            assert found[-1]["type"] == "error"
            assert found[-1]["sequence_number"] > found[-2]["sequence_number"]
            assert found[-1]["message"]
            assert b"response.completed" not in stream
            (record,) = bench.records
            assert (record.outcome, record.error_kind) == ("failure", "provider")
            assert record.usage_estimated

    run(scenario())


def test_an_error_in_a_whole_answer_of_status_200_is_a_failure(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            body = await answer_of(bench, bench.plan("openai:a!error-in-200", "openai:b"), stream=False)
            assert json.loads(body)["status"] == "completed"
            assert [record.outcome for record in bench.records] == ["failure", "success"]

    run(scenario())


@pytest.mark.parametrize("behaviour", ["hang", "slow-first-token=30", "hang-in-stream=5"])
def test_a_client_that_goes_frees_the_upstream(fake_upstream: FakeUpstream, behaviour: str) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            task = asyncio.ensure_future(answer_of(bench, bench.plan(f"openai:m!{behaviour}"), stream=True))
            await until(lambda: bool(fake_upstream.requests()))
            task.cancel()
            with pytest.raises((asyncio.CancelledError, ChatError)):
                await task
            assert await until(lambda: all(each["ended"] for each in fake_upstream.requests())) < 1.0
            (record,) = bench.records
            assert (record.outcome, record.error_kind) == ("failure", "caller")

    run(scenario())
