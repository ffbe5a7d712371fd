"""Anthropic's own client against the gateway, at models of each protocol."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from support.clients import (
    FAILING,
    FAILURES,
    PIXEL,
    PROVIDERS,
    SCHEMA,
    ImportedWhenUsed,
    cancel_once_upstream_has_it,
    check_failure,
    wait_until_upstream_is_free,
    words,
)
from support.gateways import Gateway
from support.upstream.process import FakeUpstream

anthropic = ImportedWhenUsed("anthropic")

#: The last is an alias for `auto`: clients of Anthropic send fixed names.
MODELS = ["gpt", "opus", "flash", "claude-something-new"]
TOOLS: Any = [{"name": "weather", "input_schema": SCHEMA}]


class Place(BaseModel):
    city: str


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Any]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("model", MODELS)
def test_whole_answers_and_streams(client: Any, model: str) -> None:
    answer = client.messages.create(model=model, max_tokens=50, messages=words())

    assert (answer.content[0].text, answer.stop_reason) == ("You said: hello there", "end_turn")
    assert answer.usage.output_tokens == 4

    with client.messages.stream(model=model, max_tokens=50, system="be kind", messages=words()) as events:
        assert "".join(events.text_stream) == "You said: hello there"
        assert events.get_final_message().usage.output_tokens == 4


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_tools_and_their_results(client: Any, model: str, stream: bool) -> None:
    if stream:
        with client.messages.stream(model=model, max_tokens=50, messages=words(), tools=TOOLS) as events:
            message = events.get_final_message()
    else:
        message = client.messages.create(model=model, max_tokens=50, messages=words(), tools=TOOLS)
    call = message.content[-1]
    assert (call.name, call.input, message.stop_reason) == ("weather", {"city": "Paris"}, "tool_use")

    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]}
    turns = [*words(), {"role": "assistant", "content": [call.model_dump(exclude={"caller"})]}, result]
    after = client.messages.create(model=model, max_tokens=50, messages=turns, tools=TOOLS)
    assert after.stop_reason == "end_turn"


@pytest.mark.parametrize("model", MODELS)
def test_images(client: Any, model: str) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content = [{"type": "text", "text": "look"}, {"type": "image", "source": source}]
    seen = client.messages.create(model=model, max_tokens=50, messages=[{"role": "user", "content": content}])

    assert seen.content[0].text == "You said: look (1 images)"


def test_tokens_are_counted_where_a_provider_does_and_estimated_elsewhere(client: Any, gateway: Gateway) -> None:
    assert client.messages.count_tokens(model="opus", messages=words("a b c")).input_tokens == 3

    raw = client.messages.with_raw_response.count_tokens(model="gpt", messages=words("a b c"))
    assert raw.headers["x-centralcloud-estimated"] == "true"
    assert raw.parse().input_tokens >= 3


def test_models(client: Any) -> None:
    assert "opus" in [model.id for model in client.models.list()]
    assert client.models.retrieve("opus").display_name == "opus"


@pytest.mark.parametrize("model", MODELS)
def test_schemas_are_parsed(client: Any, model: str) -> None:
    parsed = client.messages.parse(model=model, max_tokens=50, messages=words(), output_format=Place)

    assert parsed.parsed_output == Place(city="Paris")


@pytest.mark.parametrize(("provider", "stream"), FAILING)
@pytest.mark.parametrize(("behaviour", "name"), FAILURES)
def test_errors_are_those_of_the_client(client: Any, provider: str, stream: bool, behaviour: str, name: str) -> None:
    model = f"{provider}/anthropic-{stream}!{behaviour}"
    with pytest.raises(getattr(anthropic, name)) as failed:
        client.messages.create(model=model, max_tokens=50, messages=words(), stream=stream)

    check_failure(failed.value, behaviour, name)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_error_in_a_stream_is_the_clients_error(client: Any, provider: str) -> None:
    model = f"{provider}/anthropic!error-event=4"
    with (
        pytest.raises(anthropic.APIStatusError, match="overloaded"),
        client.messages.stream(model=model, max_tokens=50, messages=words()) as events,
    ):
        events.get_final_message()


def test_errors_of_the_gateway_itself_are_those_of_the_client(client: Any) -> None:
    with pytest.raises(anthropic.NotFoundError, match="expected auto, auto:simple, "):
        client.messages.create(model="nothing", max_tokens=50, messages=words())
    with pytest.raises(anthropic.BadRequestError, match="role"):
        client.messages.create(model="gpt", max_tokens=50, messages=[{"role": "robot", "content": "hello"}])
    with pytest.raises(anthropic.AuthenticationError):
        client.with_options(api_key="wrong").messages.create(model="gpt", max_tokens=50, messages=words())


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_gives_up_frees_the_upstream(
    client: Any, fake_upstream: FakeUpstream, provider: str, stream: bool
) -> None:
    model = f"{provider}/anthropic!hang"
    with pytest.raises(anthropic.APITimeoutError):
        client.messages.create(model=model, max_tokens=50, messages=words(), stream=stream, timeout=0.5)

    wait_until_upstream_is_free(fake_upstream)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_stream_that_is_left_frees_the_upstream(client: Any, fake_upstream: FakeUpstream, provider: str) -> None:
    model = f"{provider}/anthropic!hang-in-stream=4"
    with client.messages.stream(model=model, max_tokens=50, messages=words("some more words")) as events:
        next(iter(events))

    wait_until_upstream_is_free(fake_upstream)


def test_the_asynchronous_client_does_the_same(gateway: Gateway, fake_upstream: FakeUpstream) -> None:
    async def use(messages: Any) -> None:
        for model in MODELS:
            asked: Any = {"model": model, "max_tokens": 50, "messages": words()}
            assert (await messages.create(**asked)).content[0].text == "You said: hello there"
            async with messages.stream(**asked) as events:
                assert "".join([text async for text in events.text_stream]) == "You said: hello there"
            async with messages.stream(**asked, tools=TOOLS) as events:
                assert (await events.get_final_message()).content[-1].input == {"city": "Paris"}
            assert (await messages.parse(**asked, output_format=Place)).parsed_output == Place(city="Paris")
        limited = "beta/anthropic-async!status=429+retry-after=7"
        with pytest.raises(anthropic.RateLimitError):
            await messages.create(model=limited, max_tokens=50, messages=words())
        with pytest.raises(anthropic.APITimeoutError):
            await messages.create(model="beta/anthropic-async!hang", max_tokens=50, messages=words(), timeout=0.3)
        for provider in PROVIDERS:
            fake_upstream.reset()
            asked = {"model": f"{provider}/anthropic-async!hang", "max_tokens": 50, "messages": words()}
            await cancel_once_upstream_has_it(messages.create(**asked), fake_upstream)

    async def run() -> None:
        async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client:
            await use(client.messages)

    asyncio.run(run())


def test_errors_have_the_form_of_messages(gateway: Gateway) -> None:
    reply = gateway.call("POST", "/v1/messages", {"model": "opus"})

    assert reply.status == 400
    assert reply.json()["type"] == "error"
    assert reply.error["type"] == "invalid_request_error"
    assert reply.json()["request_id"] == reply.headers["x-centralcloud-request-id"]
