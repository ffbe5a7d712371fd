"""OpenAI's own client against the gateway, at models of each protocol."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from support.clients import (
    FAILING,
    FAILURES,
    IMAGE,
    MODELS,
    PROVIDERS,
    SCHEMA,
    ImportedWhenUsed,
    cancel_once_upstream_has_it,
    check_failure,
    wait_until_upstream_is_free,
    words,
)
from support.gateways import Gateway, a_key
from support.upstream.process import FakeUpstream

openai = ImportedWhenUsed("openai")

TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]


class Place(BaseModel):
    city: str


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Any]:
    with openai.OpenAI(base_url=gateway.openai_url, api_key=gateway.key, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("model", MODELS)
def test_whole_answers_and_streams_with_usage(client: Any, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=words())

    assert answer.choices[0].message.content == "You said: hello there"
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("stop", 4)

    chunks = list(
        client.chat.completions.create(
            model=model, messages=words(), stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(each.choices[0].delta.content or "" for each in chunks if each.choices) == "You said: hello there"
    assert chunks[-1].usage.completion_tokens == 4


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_tools(client: Any, model: str, stream: bool) -> None:
    if stream:
        with client.chat.completions.stream(model=model, messages=words(), tools=TOOLS) as events:
            message = events.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(model=model, messages=words(), tools=TOOLS).choices[0].message
    (call,) = message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Paris"}

    turn = {"role": "assistant", "content": None, "tool_calls": [call.model_dump(exclude={"index", "parsed"})]}
    turn["tool_calls"][0]["function"].pop("parsed_arguments", None)
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    after = client.chat.completions.create(model=model, messages=[*words(), turn, result], tools=TOOLS)
    assert after.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("model", MODELS)
def test_images_and_schemas(client: Any, model: str) -> None:
    seen = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": [{"type": "text", "text": "look"}, IMAGE]}]
    )
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
    shaped = client.chat.completions.create(model=model, messages=words(), response_format=form)

    assert seen.choices[0].message.content == "You said: look (1 images)"
    assert json.loads(shaped.choices[0].message.content) == {"city": "Paris"}
    parsed = client.chat.completions.parse(model=model, messages=words(), response_format=Place)
    assert parsed.choices[0].message.parsed == Place(city="Paris")
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(model=model, messages=words(), response_format=Place, max_completion_tokens=1)


def test_embeddings_of_texts_and_of_tokens(client: Any) -> None:
    vectors = client.embeddings.create(model="embed", input=["a", "b"], dimensions=3)
    assert [len(each.embedding) for each in vectors.data] == [3, 3]


def test_models(client: Any) -> None:
    names = [model.id for model in client.models.list()]

    assert names == ["auto", "auto:simple", "auto:medium", "auto:complex", "embed", "flash", "gpt", "opus"]
    assert client.models.retrieve("gpt").owned_by == "alpha"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing/here")


def test_responses_pass_through_where_a_target_speaks_them(client: Any, fake_upstream: FakeUpstream) -> None:
    assert client.responses.create(model="gpt", input="hi").output_text == "You said: hi"
    with client.responses.stream(model="gpt", input="hi") as stream:
        assert stream.get_final_response().output_text == "You said: hi"
    fake_upstream.behave("die=5", times=1)
    with pytest.raises(openai.APIError, match="the connection broke"):
        list(client.responses.create(model="gpt", input="one two three four", stream=True))

    with pytest.raises(openai.APIStatusError) as refused:
        client.responses.create(model="opus", input="hi")
    assert refused.value.status_code == 501
    assert "anthropic" in refused.value.message


@pytest.mark.parametrize(("provider", "stream"), FAILING)
@pytest.mark.parametrize(("behaviour", "name"), FAILURES)
def test_errors_are_those_of_the_client(client: Any, provider: str, stream: bool, behaviour: str, name: str) -> None:
    model = f"{provider}/openai-{stream}!{behaviour}"
    with pytest.raises(getattr(openai, name)) as failed:
        client.chat.completions.create(model=model, messages=words(), stream=stream)

    check_failure(failed.value, behaviour, name)
    if behaviour == "context-length":
        assert failed.value.code == "context_length_exceeded"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_error_in_a_stream_is_the_clients_error(client: Any, provider: str) -> None:
    with pytest.raises(openai.APIError, match="overloaded"):
        list(client.chat.completions.create(model=f"{provider}/openai!error-event=4", messages=words(), stream=True))


def test_errors_of_the_gateway_itself_are_those_of_the_client(
    client: Any, gateway: Gateway, clients_database: str
) -> None:
    with pytest.raises(openai.NotFoundError, match="expected auto, auto:simple, "):
        client.chat.completions.create(model="nothing", messages=words())
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.chat.completions.create(model="opus", messages=words(), temperature="warm")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-wrong").chat.completions.create(model="auto", messages=words())
    reader = client.with_options(api_key=a_key(clients_database, "viewer"), max_retries=4)
    with pytest.raises(openai.PermissionDeniedError):
        # A new key counts within a second.
        _until_known(lambda: reader.chat.completions.create(model="auto", messages=words()))


def _until_known(call: Any) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            call()
        except openai.AuthenticationError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_gives_up_frees_the_upstream(
    client: Any, gateway: Gateway, fake_upstream: FakeUpstream, provider: str, stream: bool
) -> None:
    failed = gateway.program.events().count("attempt_failed")
    began = time.monotonic()
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model=f"{provider}/openai!hang", messages=words(), stream=stream, timeout=0.5)

    wait_until_upstream_is_free(fake_upstream)
    assert time.monotonic() - began < 2.5
    assert gateway.program.events().count("attempt_failed") == failed


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_stream_that_is_left_frees_the_upstream(client: Any, fake_upstream: FakeUpstream, provider: str) -> None:
    model = f"{provider}/openai!hang-in-stream={5 if provider == 'beta' else 4}"
    stream = client.chat.completions.create(model=model, messages=words("some more words"), stream=True)
    next(iter(stream))
    stream.close()

    wait_until_upstream_is_free(fake_upstream)


def test_the_asynchronous_client_does_the_same(gateway: Gateway, fake_upstream: FakeUpstream) -> None:
    async def use(client: Any) -> None:
        chat = client.chat.completions
        answers = await asyncio.gather(*(chat.create(model=model, messages=words()) for model in MODELS))
        assert {each.choices[0].message.content for each in answers} == {"You said: hello there"}
        for model in MODELS:
            chunks = [each async for each in await chat.create(model=model, messages=words(), stream=True)]
            assert "".join(each.choices[0].delta.content or "" for each in chunks if each.choices) == (
                "You said: hello there"
            )
            async with chat.stream(model=model, messages=words(), tools=TOOLS) as events:
                message = (await events.get_final_completion()).choices[0].message
            assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Paris"}
            parsed = await chat.parse(model=model, messages=words(), response_format=Place)
            assert parsed.choices[0].message.parsed == Place(city="Paris")
        vectors = await client.embeddings.create(model="embed", input="a", dimensions=3)
        assert len(vectors.data[0].embedding) == 3
        with pytest.raises(openai.RateLimitError):
            await chat.create(model="alpha/openai-async!status=429+retry-after=7", messages=words())
        with pytest.raises(openai.APITimeoutError):
            await chat.create(model="alpha/openai-async!hang", messages=words(), timeout=0.3)
        for provider in PROVIDERS:
            fake_upstream.reset()
            call = chat.create(model=f"{provider}/openai-async!hang", messages=words())
            await cancel_once_upstream_has_it(call, fake_upstream)

    async def run() -> None:
        async with openai.AsyncOpenAI(base_url=gateway.openai_url, api_key=gateway.key, max_retries=0) as client:
            await use(client)

    asyncio.run(run())
