"""An answer that was paid for reaches its client and its record, whatever the checks, readers and writers think of it."""

import json
from typing import Any

import pytest
from support.executions import Bench, a_bench, a_request, chosen_text, read_all, run
from support.upstream.process import FakeUpstream

from instance_agent.chat.answers import StreamEvent, ToolArgumentsDelta, ToolCallStarted
from instance_agent.execution.planned import PlannedCall

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORM: dict[str, dict[str, Any]] = {
    "openai": {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
    "anthropic": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
}
#: Fields that the neutral form refuses, and that a provider of the same protocol gets as they are.
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("openai", {"reasoning_effort": "ultra"}),
    ("openai", {"tool_choice": "any"}),
    ("openai", {"top_k": 1.5}),
    ("openai", {"messages": [{"role": "user", "content": "hi"}, {"role": "function", "name": "f", "content": "1"}]}),
    ("anthropic", {"top_k": 1.5}),
    ("anthropic", {"tool_choice": {"type": "invented"}}),
    ("anthropic", {"output_config": {"effort": "ultra"}}),
]


def merged(form: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    both = {name: form[name] | fields[name] for name in form if name in fields}
    return {**form, **fields, **both}


async def answered(bench: Bench, plan: list[PlannedCall], protocol: str, *, stream: bool, **fields: Any) -> bytes:
    request = a_request(protocol, stream=stream, **fields)
    if stream:
        return await read_all(await bench.executor.stream(plan, request))
    return (await bench.executor.execute(plan, request)).body


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_cannot_be_translated_is_answered_and_checked_where_it_is_forwarded(
    fake_upstream: FakeUpstream, stream: bool
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            for protocol, fields in REFUSED:
                plan = bench.plan(f"{protocol}:m")
                body = await answered(bench, plan, protocol, stream=stream, **merged(FORM[protocol], fields))
                assert b"error" not in body, body
                assert bench.calls_of("m") == len(bench.records)
                record = bench.records[-1]
                assert (record.outcome, record.defect) == ("success", None), "the answer is of the schema"
                assert record.cost.nano_usd

    run(scenario())


class Broken:
    """A dialect of a third party that fails to read what its service answers."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def read_answer(self, *_: Any) -> Any:
        return {}["id"]

    def stream_forwarder(self, *arguments: Any, **options: Any) -> Any:
        forwarder = self._inner.stream_forwarder(*arguments, **options)
        feed = forwarder.feed

        def failing(data: bytes) -> bytes:
            if forwarder.begun:
                raise KeyError("id")
            return feed(data)  # type: ignore[no-any-return]

        forwarder.feed = failing
        return forwarder


def test_an_answer_that_a_reader_fails_at_has_its_cost_and_another_target_is_tried(
    fake_upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            plan = bench.plan("openai:bad", "openai:good")
            plan[0].target.dialect = Broken(plan[0].target.dialect)
            body = await answered(bench, plan, "openai", stream=False)
            assert chosen_text(body) == "You said: hello there"
            assert bench.records.outcomes == [("bad", "failure", "provider"), ("good", "success", None)]
            assert bench.records[0].cost.nano_usd
            assert "answer_not_read" in caplog.text

    run(scenario())


def test_a_stream_that_a_reader_fails_at_ends_with_an_error_event_and_has_its_cost(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            plan = bench.plan("openai:bad!trickle=0.01", "openai:good")
            plan[0].target.dialect = Broken(plan[0].target.dialect)
            received = await answered(bench, plan, "openai", stream=True)
            events = [each for each in received.split(b"\n\n") if each.startswith(b"data: {")]
            assert "error" in json.loads(events[-1].removeprefix(b"data: "))
            assert b"[DONE]" not in received
            assert bench.records.outcomes == [("bad", "failure", "provider")]
            assert bench.records[0].cost.nano_usd

    run(scenario())


class Interleaved(Broken):
    """A dialect whose service begins a second call of a tool before the arguments of the first."""

    def stream_reader(self, *arguments: Any) -> Any:
        reader = self._inner.stream_reader(*arguments)
        feed = reader.feed

        def interleaving(data: bytes) -> list[StreamEvent]:
            events: list[StreamEvent] = []
            for event in feed(data):
                events.append(event)
                if isinstance(event, ToolCallStarted):
                    events += [ToolCallStarted(1, "call_1", "time"), ToolArgumentsDelta(1, "{}")]
            return events

        reader.feed = interleaving
        return reader


@pytest.mark.parametrize(
    ("protocol", "dialect", "expected"),
    [("anthropic", "openai", ("failure", "provider")), ("openai", "anthropic", ("success", None))],
)
def test_a_stream_that_the_clients_protocol_has_no_place_for_is_a_failure_in_the_record_too(
    fake_upstream: FakeUpstream, protocol: str, dialect: str, expected: tuple[str, str | None]
) -> None:
    tool: dict[str, Any] = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {}}}}
    if protocol == "openai":
        tool = {"type": "function", "function": {"name": "weather", "parameters": tool["input_schema"]}}

    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            plan = bench.plan(f"{dialect}:m")
            plan[0].target.dialect = Interleaved(plan[0].target.dialect)
            received = await answered(bench, plan, protocol, stream=True, tools=[tool])
            (record,) = bench.records
            assert (record.outcome, record.error_kind) == expected
            assert record.cost.nano_usd
            assert received.count(b"event: error") == (expected[0] == "failure")
            assert (b"message_stop" in received or b"[DONE]" in received) == (expected[0] == "success")
            assert bench.breakers.states(0.0) == {}

    run(scenario())
