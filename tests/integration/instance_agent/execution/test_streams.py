"""Streams through the executor, from the fake upstream."""

import asyncio
import json
import time

import pytest
from support.executions import a_bench, a_request, read_all, run, until
from support.upstream.process import FakeUpstream

from instance_agent.execution.errors import ExecutionError
from instance_agent.execution.settings import ExecutionSettings
from instance_agent.execution.walk import WalkSettings

PROTOCOLS = ("openai", "anthropic")
DIALECTS = ("openai", "anthropic", "gemini")
PAIRS = [(protocol, dialect) for protocol in PROTOCOLS for dialect in DIALECTS]
#: Events of each dialect that hold the first words of an answer.
BEGUN_AFTER = 6
TOOL = {"type": "function", "function": {"name": "f"}}


def text_of(protocol: str, stream: bytes) -> str:
    """Return the text of a stream in the client's protocol."""
    texts = []
    for line in stream.decode().splitlines():
        if not line.startswith("data: {"):
            continue
        event = json.loads(line[6:])
        if protocol == "openai":
            texts += [choice["delta"].get("content") or "" for choice in event.get("choices", ())]
        elif event["type"] == "content_block_delta":
            texts.append(event["delta"].get("text", ""))
    return "".join(texts)


def has_end(protocol: str, stream: bytes) -> bool:
    return (b"\ndata: [DONE]\n" if protocol == "openai" else b"\nevent: message_stop\n") in stream


def errors_in(stream: bytes) -> list[str]:
    """Return the messages of error events."""
    lines = [json.loads(line[6:]) for line in stream.decode().splitlines() if line.startswith("data: {")]
    return [event["error"]["message"] for event in lines if event.get("error")]


@pytest.mark.parametrize(("protocol", "dialect"), PAIRS)
def test_a_stream_arrives_whole_with_usage_cost_and_time_of_the_first_token(
    fake_upstream: FakeUpstream, protocol: str, dialect: str
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            stream = await bench.executor.stream(bench.plan(f"{dialect}:m"), a_request(protocol, stream=True))
            assert stream.call is not None
            received = await read_all(stream)
            assert text_of(protocol, received) == "You said: hello there"
            assert has_end(protocol, received)
            (record,) = bench.records
            assert stream.attempt is record
            assert (record.outcome, record.finish_reason, record.streamed) == ("success", "stop", True)
            assert record.usage is not None
            assert (record.usage.input_tokens, record.usage.output_tokens) == (12, 4)
            assert record.cost.nano_usd == 20_000
            assert not record.usage_estimated
            assert record.first_token_ms is not None
            assert record.response_time_ms is not None
            assert record.first_token_ms <= record.response_time_ms

    run(scenario())


def test_usage_is_asked_for_and_stripped_again_unless_the_client_wants_it(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            plan = bench.plan("openai:m")
            plain = await read_all(await bench.executor.stream(plan, a_request(stream=True)))
            assert b'"usage": {' not in plain
            asked = a_request(stream=True, stream_options={"include_usage": True})
            assert b'"usage": {' in await read_all(await bench.executor.stream(plan, asked))
            assert all(record.usage and record.usage.output_tokens == 4 for record in bench.records)

    run(scenario())


EARLY_FAILURES = [
    (*pair, behaviour)
    for pair in PAIRS
    for behaviour in ("error-first-event", "role-then-error", "error-in-200", "status=503", "invalid-json")
    # The first event of gemini is a token.
    if (pair[1], behaviour) != ("gemini", "invalid-json")
]


@pytest.mark.parametrize(("protocol", "dialect", "behaviour"), EARLY_FAILURES)
def test_an_error_before_the_first_token_falls_back(
    fake_upstream: FakeUpstream, protocol: str, dialect: str, behaviour: str
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            plan = bench.plan(f"{dialect}:bad!{behaviour}", f"{dialect}:good")
            received = await read_all(await bench.executor.stream(plan, a_request(protocol, stream=True)))
            assert text_of(protocol, received) == "You said: hello there"
            assert errors_in(received) == []
            assert bench.records.outcomes == [("bad", "failure", "provider"), ("good", "success", None)]
            assert bench.calls_of(f"bad!{behaviour}") == 1

    run(scenario())


@pytest.mark.parametrize(("protocol", "dialect"), PAIRS)
@pytest.mark.parametrize("behaviour", [f"die={BEGUN_AFTER}+trickle=0.02", "no-end", f"error-event={BEGUN_AFTER}"])
def test_an_upstream_that_fails_in_the_midst_gives_an_error_event_and_no_proper_end(
    fake_upstream: FakeUpstream, protocol: str, dialect: str, behaviour: str
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            plan = bench.plan(f"{dialect}:bad!{behaviour}", f"{dialect}:good")
            text = "a text of some more words to be cut off"
            received = await read_all(await bench.executor.stream(plan, a_request(protocol, text, stream=True)))
            assert text_of(protocol, received).startswith("You said:")
            assert len(errors_in(received)) == 1
            assert not has_end(protocol, received)
            assert fake_upstream.state()["total"] == 1, "nothing is tried again after the first token"
            (record,) = bench.records
            assert (record.outcome, record.error_kind, record.retry) == ("failure", "provider", "begun")
            assert record.cost.nano_usd, "it is billed: at least an estimate"

    run(scenario())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_pieces_that_arrive_right_before_a_reset_reach_the_client_before_the_error(
    fake_upstream: FakeUpstream, dialect: str
) -> None:
    model = f"bad!reset-in-stream={BEGUN_AFTER}+trickle=0.02"
    text = "a text of some more words to be sent"

    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            stream = await bench.executor.stream(bench.plan(f"{dialect}:{model}"), a_request(text=text, stream=True))
            first = await stream.read()
            assert not errors_in(first)
            await until(lambda: bench.transport_connections_lost() == 1)
            received = first + await read_all(stream)
            assert text_of("openai", received) == f"You said: {text}"
            assert len(errors_in(received)) == 1
            assert not has_end("openai", received)
            (record,) = bench.records
            assert (record.outcome, record.error_kind, record.retry) == ("failure", "provider", "begun")

    run(scenario())


@pytest.mark.parametrize("behaviour", ["usage-missing", "usage-zero"])
def test_a_stream_without_usage_has_an_estimate_that_says_so(fake_upstream: FakeUpstream, behaviour: str) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            await read_all(await bench.executor.stream(bench.plan(f"openai:m!{behaviour}"), a_request(stream=True)))
            (record,) = bench.records
            assert record.usage is not None
            assert record.usage_estimated
            assert record.cost.estimated
            assert (record.usage.output_tokens or 0) >= 4

    run(scenario())


def test_all_upstreams_of_a_stream_rate_limited_cost_three_attempts(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            plan = bench.plan(*(f"openai:m{n}!status=429" for n in range(8)))
            with pytest.raises(ExecutionError):
                await bench.executor.stream(plan, a_request(stream=True))
            assert fake_upstream.state()["total"] == 3

    run(scenario())


def test_a_stream_that_is_slow_but_steady_survives_the_limits_of_its_phases(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        settings = ExecutionSettings(walk=WalkSettings(deadline_seconds=2.0))
        async with a_bench(fake_upstream, settings) as bench:
            words = " ".join(["word"] * 25)
            plan = bench.plan("openai:m!trickle=0.15", first_byte=2.0, idle=0.8)
            began = time.monotonic()
            received = await read_all(await bench.executor.stream(plan, a_request(text=words, stream=True)))
            assert time.monotonic() - began > 3.0, "longer than each limit but that of the whole call"
            assert has_end("openai", received)
            assert bench.records[0].outcome == "success"

    run(scenario())


def test_a_model_that_thinks_long_before_its_first_token_is_waited_for(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            plan = bench.plan("openai:m!slow-first-token=1.5", first_byte=5.0, idle=0.3)
            received = await read_all(await bench.executor.stream(plan, a_request(stream=True)))
            assert has_end("openai", received)

    run(scenario())


def test_keep_alive_comments_of_the_upstream_do_not_count_as_tokens(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            plan = bench.plan("openai:bad!comments+error-first-event", "openai:good")
            received = await read_all(await bench.executor.stream(plan, a_request(stream=True)))
            assert text_of("openai", received) == "You said: hello there"

    run(scenario())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_that_stops_is_ended_by_its_idle_limit(fake_upstream: FakeUpstream, protocol: str) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            plan = bench.plan(f"{protocol}:m!hang-in-stream={BEGUN_AFTER}", idle=0.3)
            received = await read_all(await bench.executor.stream(plan, a_request(protocol, stream=True)))
            assert len(errors_in(received)) == 1
            assert not has_end(protocol, received)
            assert bench.records[0].error_kind == "timeout"

    run(scenario())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_by_option_comments_keep_the_connection_before_the_first_token(
    fake_upstream: FakeUpstream, protocol: str
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream, ExecutionSettings(keep_alive_seconds=0.2)) as bench:
            plan = bench.plan("openai:m!slow-first-token=1", "openai:b")
            stream = await bench.executor.stream(plan, a_request(protocol, stream=True))
            assert stream.call is None
            received = await read_all(stream)
            assert 3 <= received.count(b": keep-alive\n\n") <= 6
            assert text_of(protocol, received) == "You said: hello there"
            assert bench.records.outcomes == [("m", "success", None)]

    run(scenario())


def test_with_comments_a_quick_answer_has_none_and_a_quick_error_its_status(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream, ExecutionSettings(keep_alive_seconds=5.0)) as bench:
            received = await read_all(await bench.executor.stream(bench.plan("openai:m"), a_request(stream=True)))
            assert b"keep-alive" not in received
            with pytest.raises(ExecutionError) as caught:
                await bench.executor.stream(bench.plan("openai:m2!status=400"), a_request(stream=True))
            assert caught.value.status == 400

    run(scenario())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_after_a_comment_another_target_is_still_tried_and_a_failure_is_an_event(
    fake_upstream: FakeUpstream, protocol: str
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream, ExecutionSettings(keep_alive_seconds=0.1)) as bench:
            plan = bench.plan("openai:a!slow-headers=0.4+status=503", "openai:b")
            received = await read_all(await bench.executor.stream(plan, a_request(protocol, stream=True)))
            assert text_of(protocol, received) == "You said: hello there"
            plan = bench.plan("openai:c!slow-headers=0.4+status=400")
            received = await read_all(await bench.executor.stream(plan, a_request(protocol, stream=True)))
            assert len(errors_in(received)) == 1
            assert not has_end(protocol, received)

    run(scenario())


@pytest.mark.parametrize(
    ("behaviour", "fields", "expected"),
    [
        ("empty-answer", {}, ("empty_answer", "provider")),
        ("content-filter", {}, (None, "policy")),
        (
            "malformed-arguments",
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            ("invalid_arguments", "provider"),
        ),
        ("bytewise", {"response_format": {"type": "json_object"}}, (None, None)),
    ],
)
def test_streams_are_checked_for_defects_too(
    fake_upstream: FakeUpstream, behaviour: str, fields: dict[str, object], expected: tuple[str | None, str | None]
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            stream = await bench.executor.stream(bench.plan(f"openai:m!{behaviour}"), a_request(stream=True, **fields))
            received = await read_all(stream)
            assert has_end("openai", received)
            (record,) = bench.records
            assert (record.defect, record.error_kind) == expected

    run(scenario())


def test_a_client_that_leaves_after_the_proper_end_has_got_everything(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            async with await bench.executor.stream(bench.plan("openai:m"), a_request(stream=True)) as stream:
                received = b""
                while b"[DONE]" not in received:
                    received += await stream.read()
            assert bench.records.outcomes == [("m", "success", None)]

    run(scenario())


def test_connections_are_used_again_after_streams(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            for _ in range(5):
                await read_all(await bench.executor.stream(bench.plan("openai:m"), a_request(stream=True)))
            connections = bench.transport_connections()
            assert connections == 1
            await asyncio.sleep(0)

    run(scenario())
