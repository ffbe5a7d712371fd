"""OpenAI's own client against the gateway, at models of each protocol."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.gateways import Gateway
from support.upstream.process import FakeUpstream
from support.waiting import eventually

openai = pytest.importorskip("openai", reason="the vendors' clients are in the extra `clients`")

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
MODELS = ["gpt", "opus", "flash", "auto"]


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Any]:
    with openai.OpenAI(base_url=gateway.openai_url, api_key=gateway.key, max_retries=0) as client:
        yield client


def words(text: str = "hello there") -> Any:
    return [{"role": "user", "content": text}]


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
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    seen = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": [{"type": "text", "text": "look"}, image]}]
    )
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
    shaped = client.chat.completions.create(model=model, messages=words(), response_format=form)

    assert seen.choices[0].message.content == "You said: look (1 images)"
    assert json.loads(shaped.choices[0].message.content) == {"city": "Paris"}


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


@pytest.mark.parametrize(
    ("behaviour", "name"),
    [
        ("status=500", "InternalServerError"),
        ("status=429+retry-after=600", "RateLimitError"),
        ("bad-request", "BadRequestError"),
        ("context-length", "BadRequestError"),
        ("policy", "BadRequestError"),
        ("error-event=3", "APIError"),
        ("error-first-event", "InternalServerError"),
    ],
)
def test_errors_are_those_of_the_client(client: Any, fake_upstream: FakeUpstream, behaviour: str, name: str) -> None:
    fake_upstream.behave(behaviour)

    with pytest.raises(getattr(openai, name)) as failed:
        list(client.chat.completions.create(model="auto", messages=words(), stream=True))
    assert "sk-upstream" not in str(failed.value)


def test_a_key_that_is_not_known_is_the_clients_own_error(gateway: Gateway) -> None:
    with (
        openai.OpenAI(base_url=gateway.openai_url, api_key="sk-wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.chat.completions.create(model="auto", messages=words())


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_gives_up_frees_the_upstream(
    client: Any, gateway: Gateway, fake_upstream: FakeUpstream, stream: bool
) -> None:
    fake_upstream.behave("hang")
    began = time.monotonic()
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="gpt", messages=words(), stream=stream, timeout=0.5)

    eventually(lambda: fake_upstream.requests()[0]["ended"] == "client gone", within_seconds=2.0)
    assert time.monotonic() - began < 2.5
    assert gateway.program.events().count("attempt_failed") == 0


def test_a_stream_that_is_left_frees_the_upstream(client: Any, fake_upstream: FakeUpstream) -> None:
    fake_upstream.behave("hang-in-stream=3")
    stream = client.chat.completions.create(model="gpt", messages=words("some more words"), stream=True)
    next(iter(stream))
    stream.close()

    eventually(lambda: fake_upstream.requests()[0]["ended"] == "client gone", within_seconds=2.0)
