"""The transport on real sockets: cancelled calls free the upstream, answers are bounded, bytes are forwarded."""

import asyncio
import gc
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import pytest
import uvloop
from support.calling import embedded, events_of, pieces_of, upstream_of_preset, whole
from support.chats import KEY, WEATHER, a_request, an_upstream, collected
from support.upstream.process import FakeUpstream
from support.waiting import eventually

from instance_agent.chat.answers import TextDelta
from instance_agent.chat.messages import Reasoning
from instance_agent.providers.calls import ProviderCalls
from instance_agent.providers.dialect import EmbeddingRequest, HttpCall, StreamForwarder
from instance_agent.providers.errors import ProviderError
from instance_agent.providers.installed import BUILT_IN
from instance_agent.providers.transport import Transport
from instance_agent.providers.upstream import Secret, Upstream

DIALECTS = ("openai", "anthropic", "gemini")
_T = TypeVar("_T")


def run(work: Callable[[ProviderCalls], Awaitable[_T]]) -> _T:
    async def inside() -> _T:
        async with Transport() as transport:
            return await work(ProviderCalls(transport))

    return asyncio.run(inside())


def upstream_of(fake: FakeUpstream, dialect: str, **limits: Any) -> Upstream:
    return an_upstream(dialect, fake.gemini_url if dialect == "gemini" else fake.openai_url, **limits)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("behaviour", "stream"),
    [
        ("hang", False),
        ("hang", True),
        ("slow-first-token=60", True),
        ("hang-in-stream=3", True),
        ("trickle=0.2", True),
    ],
)
def test_a_cancelled_call_frees_the_upstream_at_once(
    fake_upstream: FakeUpstream, dialect: str, behaviour: str, stream: bool
) -> None:
    upstream = upstream_of(fake_upstream, dialect)

    async def work(calls: ProviderCalls) -> None:
        async def consume() -> None:
            if stream:
                async with aclosing(events_of(calls, upstream, a_request(stream=True), f"m!{behaviour}")) as events:
                    async for _ in events:
                        pass
            else:
                await whole(calls, upstream, a_request(), f"m!{behaviour}")

        task = asyncio.create_task(consume())
        await asyncio.to_thread(eventually, lambda: fake_upstream.state()["open"] == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # While the session stays open: the connection of the call itself must be closed.
        await asyncio.to_thread(
            eventually,
            lambda: [each["ended"] for each in fake_upstream.requests()] == ["client gone"],
            within_seconds=1.0,
            what="the upstream's notice that its client is gone",
        )

    run(work)


def test_leaving_a_stream_early_frees_the_upstream(fake_upstream: FakeUpstream) -> None:
    upstream = upstream_of(fake_upstream, "openai")

    async def work(calls: ProviderCalls) -> None:
        async with aclosing(events_of(calls, upstream, a_request(stream=True), "m!trickle=0.1")) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        await asyncio.to_thread(
            eventually, lambda: fake_upstream.requests()[0]["ended"] == "client gone", within_seconds=1.0
        )

    run(work)


def test_connections_are_used_again(fake_upstream: FakeUpstream) -> None:
    upstream = upstream_of(fake_upstream, "openai")

    async def work(calls: ProviderCalls) -> int:
        async with Transport() as transport:
            mine = ProviderCalls(transport)
            for _ in range(5):
                await whole(mine, upstream, a_request(), "m")
                assert collected([event async for event in events_of(mine, upstream, a_request(stream=True), "m")]).text
            connector = transport._session.connector
            assert connector is not None
            return sum(len(each) for each in connector._conns.values())

    assert run(work) == 1


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("size", [1_000, 4_000_000])
def test_an_idle_connection_keeps_nothing_of_the_request_that_opened_it(
    fake_upstream: FakeUpstream, new_loop: Callable[[], asyncio.AbstractEventLoop], size: int
) -> None:
    upstream = upstream_of(fake_upstream, "openai")

    async def references_left() -> int:
        messages = [{"role": "user", "content": "x" * size}]
        body = json.dumps({"model": "m", "messages": messages}).encode()
        headers = {"content-type": "application/json"}
        call = HttpCall(method="POST", url=f"{fake_upstream.openai_url}/chat/completions", headers=headers, body=body)
        del messages
        async with Transport() as transport:
            before = sys.getrefcount(call)
            async with transport.open(upstream, call) as answer:
                await answer.read()
            assert answer.status == 200
            del answer
            gc.collect()
            connector = transport._session.connector
            assert connector is not None
            assert sum(len(each) for each in connector._conns.values()) == 1
            return sys.getrefcount(call) - before

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(references_left()) == 0


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "behaviour", ["gzip", "crlf", "comments=3", "bytewise", "trickle=0.01", "slow-first-token=0.1"]
)
def test_odd_but_valid_answers_are_read(fake_upstream: FakeUpstream, dialect: str, behaviour: str) -> None:
    upstream = upstream_of(fake_upstream, dialect)

    async def work(calls: ProviderCalls) -> tuple[str, str]:
        plain = await whole(calls, upstream, a_request(), f"m!{behaviour}")
        events = [event async for event in events_of(calls, upstream, a_request(stream=True), f"m!{behaviour}")]
        return plain.text, collected(events).text

    assert run(work) == ("You said: hello there", "You said: hello there")


def test_a_slow_but_steady_stream_outlives_the_limit_of_idleness(fake_upstream: FakeUpstream) -> None:
    upstream = upstream_of(fake_upstream, "openai", idle=0.5, total=None)
    request = a_request(" ".join(["word"] * 10), stream=True)

    async def work(calls: ProviderCalls) -> str:
        return collected([event async for event in events_of(calls, upstream, request, "m!trickle=0.1")]).text

    assert run(work).count("word") == 10


@pytest.mark.parametrize(
    "behaviour", ["empty-answer", "truncated", "content-filter", "usage-missing", "usage-zero", "cost=0.25"]
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_answers_that_are_poor_but_whole_say_so(fake_upstream: FakeUpstream, dialect: str, behaviour: str) -> None:
    upstream = upstream_of(fake_upstream, dialect)

    async def work(calls: ProviderCalls) -> list[Any]:
        events = [event async for event in events_of(calls, upstream, a_request(stream=True), f"m!{behaviour}")]
        return [await whole(calls, upstream, a_request(), f"m!{behaviour}"), collected(events)]

    for answer in run(work):
        assert answer.finish == {"truncated": "length", "content-filter": "content_filter"}.get(behaviour, "stop")
        assert (answer.text == "") == (behaviour == "empty-answer")
        assert (answer.usage is None) == behaviour.startswith("usage")
        if behaviour.startswith("cost") and dialect == "openai":
            assert answer.usage.cost_nano_usd == 250_000_000


def test_arguments_that_are_not_json_reach_the_validators(fake_upstream: FakeUpstream) -> None:
    async def work(calls: ProviderCalls) -> str:
        upstream = upstream_of(fake_upstream, "openai")
        answer = await whole(calls, upstream, a_request(tools=(WEATHER,)), "m!malformed-arguments")
        return answer.tool_calls[0].arguments

    assert run(work) == '{"city": '


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_key_travels_in_a_header_and_never_in_the_address(fake_upstream: FakeUpstream, dialect: str) -> None:
    run(lambda calls: whole(calls, upstream_of(fake_upstream, dialect), a_request(reasoning=Reasoning("low")), "m"))

    (request,) = fake_upstream.requests()
    header = {"openai": "authorization", "anthropic": "x-api-key", "gemini": "x-goog-api-key"}[dialect]
    assert request["headers"][header].endswith(KEY)
    assert KEY not in request["path"]
    assert KEY not in request["body"]


def test_azure_takes_the_key_in_its_own_header(fake_upstream: FakeUpstream) -> None:
    upstream = upstream_of_preset("azure", fake_upstream.openai_url, KEY)

    run(lambda calls: whole(calls, upstream, a_request(max_output_tokens=5), "my-deployment"))

    (request,) = fake_upstream.requests()
    assert request["headers"]["api-key"] == KEY
    assert "authorization" not in request["headers"]
    assert json.loads(request["body"])["max_completion_tokens"] == 5


def test_a_key_with_a_line_break_is_refused_without_showing_it(fake_upstream: FakeUpstream) -> None:
    upstream = Upstream(
        provider="p", dialect="openai", base_url=fake_upstream.openai_url, api_key=Secret("abc\r\nx: defghijk")
    )

    with pytest.raises(ProviderError) as refused:
        run(lambda calls: whole(calls, upstream, a_request(), "m"))

    assert str(refused.value.retry) == "setup"
    assert "defghijk" not in refused.value.message


def _forwarded(fake: FakeUpstream, dialect: str, body: bytes, **headers: str) -> bytes:
    upstream, spoken = upstream_of(fake, dialect), BUILT_IN[dialect]
    return run(lambda calls: calls.body(upstream, spoken.forward(upstream, body, "m", headers)))


def test_the_bytes_of_a_client_arrive_as_they_were_sent(fake_upstream: FakeUpstream) -> None:
    body = (
        b'{ "model" : "auto", "invented_tomorrow": {"a":  [1.0, 2e5]},'
        b' "messages": [ {"role":"user","content":"hi \\u00e4"} ] }'
    )

    answer = _forwarded(fake_upstream, "openai", body)

    received = fake_upstream.requests()[0]["body"]
    assert '"invented_tomorrow":{"a":  [1.0, 2e5]}' in received
    assert '[ {"role":"user","content":"hi \\u00e4"} ]' in received
    assert json.loads(received)["model"] == "m"
    assert json.loads(answer)["choices"][0]["message"]["content"] == "You said: hi ä"


def test_beta_headers_of_a_client_travel_with_its_bytes_and_nothing_else(fake_upstream: FakeUpstream) -> None:
    block = b'{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}'
    body = b'{"model":"auto","max_tokens":9,"messages":[{"role":"user","content":[' + block + b"]}]}"

    _forwarded(
        fake_upstream, "anthropic", body, **{"anthropic-beta": "a,b", "x-api-key": "the client's", "cookie": "c=1"}
    )

    (request,) = fake_upstream.requests()
    assert request["headers"]["anthropic-beta"] == "a,b"
    assert request["headers"]["x-api-key"] == KEY
    assert "cookie" not in request["headers"]
    assert block.decode() in request["body"]


async def _forward_stream(
    calls: ProviderCalls, upstream: Upstream, call: HttpCall, include_usage: bool
) -> tuple[bytes, StreamForwarder]:
    forwarder = BUILT_IN[upstream.dialect].stream_forwarder(upstream, include_usage=include_usage)
    written = b""
    async with calls.open_stream(upstream, call) as answer:
        async for piece in pieces_of(answer):
            written += forwarder.feed(piece)
    return written + forwarder.close(), forwarder


@pytest.mark.parametrize("asked", [False, True], ids=["not asked for", "asked for"])
@pytest.mark.parametrize("behaviour", ["", "!bytewise", "!crlf"])
def test_usage_is_injected_and_stripped_from_a_forwarded_stream(
    fake_upstream: FakeUpstream, asked: bool, behaviour: str
) -> None:
    options = {"stream_options": {"include_usage": True}} if asked else {}
    body = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": "hi you"}], **options}
    upstream = upstream_of(fake_upstream, "openai")
    call = BUILT_IN["openai"].forward(upstream, json.dumps(body).encode(), f"m{behaviour}", {})

    written, forwarder = run(lambda calls: _forward_stream(calls, upstream, call, asked))

    assert fake_upstream.last_body()["stream_options"] == {"include_usage": True}
    assert (b'"choices": [], "usage"' in written) == (b'"usage": null' in written) == asked
    assert written.rstrip().endswith(b"data: [DONE]")
    assert forwarder.usage is not None
    assert (forwarder.usage.input_tokens, forwarder.finish, forwarder.completed) == (12, "stop", True)
    assert forwarder.output_characters == len("You said: hi you")


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("behaviour", "begun"),
    [
        ("error-first-event", False),
        ("role-then-error", False),
        ("error-event=6", True),
        ("no-end", True),
        ("cut-answer", True),
    ],
)
def test_an_error_in_a_forwarded_stream_is_not_forwarded(
    fake_upstream: FakeUpstream, dialect: str, behaviour: str, begun: bool
) -> None:
    text = "one two three four five six"
    body = {"model": "auto", "stream": True, "max_tokens": 99, "messages": [{"role": "user", "content": text}]}
    upstream, spoken = upstream_of(fake_upstream, dialect), BUILT_IN[dialect]
    call = spoken.forward(upstream, json.dumps(body).encode(), f"m!{behaviour}", {})
    forwarder = spoken.stream_forwarder(upstream, include_usage=False)

    async def work(calls: ProviderCalls) -> bytes:
        written = b""
        async with calls.open_stream(upstream, call) as answer:
            async for piece in pieces_of(answer):
                written += forwarder.feed(piece)
        return written + forwarder.close()

    if behaviour == "cut-answer":
        with pytest.raises(ProviderError, match="broke"):
            run(work)
        return
    written = run(work)

    assert forwarder.error is not None
    assert (str(forwarder.error.retry) == "begun") == begun == forwarder.begun
    assert not forwarder.completed
    assert b"overloaded" not in written
    assert b"[DONE]" not in written
    assert b"message_stop" not in written


@pytest.mark.parametrize("dialect", DIALECTS)
def test_models_are_listed_over_all_pages(fake_upstream: FakeUpstream, dialect: str) -> None:
    models = run(lambda calls: calls.list_models(upstream_of(fake_upstream, dialect)))

    assert [model.id for model in models] == ["fake-small", "fake-large", "fake-embedding"]
    assert {request["method"] for request in fake_upstream.requests()} == {"GET"}


@pytest.mark.parametrize("dialect", ["openai", "gemini"])
def test_embeddings_come_in_the_order_of_the_texts(fake_upstream: FakeUpstream, dialect: str) -> None:
    request = EmbeddingRequest(inputs=("a", "b"), dimensions=3)

    answer = run(lambda calls: embedded(calls, upstream_of(fake_upstream, dialect), request, "fake-embedding"))

    assert answer.vectors == ((0.0, 0.0, 0.0), (0.010309, 0.020619, 0.030928))
    assert (answer.usage is not None) == (dialect == "openai")


@pytest.mark.parametrize("dialect", ["anthropic", "gemini"])
def test_tokens_are_counted(fake_upstream: FakeUpstream, dialect: str) -> None:
    assert run(lambda calls: calls.count_tokens(upstream_of(fake_upstream, dialect), a_request("a b c"), "m")) == 3


def test_the_record_of_the_fake_upstream_counts_and_orders(fake_upstream: FakeUpstream) -> None:
    fake_upstream.behave("status=503", times=1, model="m")
    upstream = upstream_of(fake_upstream, "openai")

    async def work(calls: ProviderCalls) -> str:
        with pytest.raises(ProviderError):
            await whole(calls, upstream, a_request(), "m")
        return (await whole(calls, upstream, a_request(), "m")).text

    assert run(work) == "You said: hello there"
    assert fake_upstream.state()["counts"] == {"/v1/chat/completions": 2}
    assert [each["ended"] for each in fake_upstream.requests("m")] == ["answered", "answered"]


def test_the_proxy_of_the_environment_is_used_except_for_hosts_without_one(
    fake_upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", fake_upstream.url)
    monkeypatch.setenv("no_proxy", "direct.invalid")

    answer = run(lambda calls: whole(calls, an_upstream("openai", "http://by-proxy.invalid/v1"), a_request(), "m"))
    with pytest.raises(ProviderError, match="no connection"):
        run(lambda calls: whole(calls, an_upstream("openai", "http://direct.invalid/v1"), a_request(), "m"))

    assert answer.text == "You said: hello there"
    assert fake_upstream.requests()[0]["headers"]["host"] == "by-proxy.invalid"


def test_the_waits_that_an_upstream_asks_for_arrive(fake_upstream: FakeUpstream) -> None:
    async def work(calls: ProviderCalls) -> list[float | None]:
        found = []
        for behaviour in ("retry-after=7", "retry-after-date=60", "retry-after-ms=1500", "ratelimit-reset=6m0s"):
            with pytest.raises(ProviderError) as refused:
                await whole(calls, upstream_of(fake_upstream, "openai"), a_request(), f"m!status=429+{behaviour}")
            found.append(refused.value.retry_after_seconds)
        return found

    seconds, date, milliseconds, reset = run(work)

    assert (seconds, milliseconds, reset) == (7.0, 1.5, 360.0)
    assert date is not None
    assert 50 < date <= 60


def test_a_large_body_arrives_whole(fake_upstream: FakeUpstream) -> None:
    text = "x" * 3_000_000

    answer = run(lambda calls: whole(calls, upstream_of(fake_upstream, "openai"), a_request(text), "m"))

    assert answer.text == f"You said: {text}"


def test_a_small_answer_that_unpacks_to_a_large_one_is_bounded(fake_upstream: FakeUpstream) -> None:
    upstream = upstream_of(fake_upstream, "openai", max_answer_bytes=1_000_000)

    with pytest.raises(ProviderError, match="more than 1000000 bytes"):
        run(lambda calls: whole(calls, upstream, a_request(), "m!gzip+huge=50000000"))
