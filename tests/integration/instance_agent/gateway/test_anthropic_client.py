"""Anthropic's own client against the gateway, at models of each protocol."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.gateways import Gateway
from support.upstream.process import FakeUpstream

anthropic = pytest.importorskip("anthropic", reason="the vendors' clients are in the extra `clients`")

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
#: The last is an alias for `auto`: clients of Anthropic send fixed names.
MODELS = ["gpt", "opus", "flash", "claude-something-new"]


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Any]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client:
        yield client


def words(text: str = "hello there") -> Any:
    return [{"role": "user", "content": text}]


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
    tools = [{"name": "weather", "input_schema": SCHEMA}]
    if stream:
        with client.messages.stream(model=model, max_tokens=50, messages=words(), tools=tools) as events:
            message = events.get_final_message()
    else:
        message = client.messages.create(model=model, max_tokens=50, messages=words(), tools=tools)
    call = message.content[-1]
    assert (call.name, call.input, message.stop_reason) == ("weather", {"city": "Paris"}, "tool_use")

    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]}
    turns = [*words(), {"role": "assistant", "content": [call.model_dump(exclude={"caller"})]}, result]
    after = client.messages.create(model=model, max_tokens=50, messages=turns, tools=tools)
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


@pytest.mark.parametrize(
    ("behaviour", "name"),
    [
        ("status=500", "InternalServerError"),
        ("status=429+retry-after=600", "RateLimitError"),
        ("bad-request", "BadRequestError"),
        ("error-event=6", "APIStatusError"),
    ],
)
def test_errors_are_those_of_the_client(client: Any, fake_upstream: FakeUpstream, behaviour: str, name: str) -> None:
    fake_upstream.behave(behaviour)

    with (
        pytest.raises(getattr(anthropic, name)) as failed,
        client.messages.stream(model="opus", max_tokens=50, messages=words()) as events,
    ):
        events.get_final_message()
    assert "sk-upstream" not in str(failed.value)


def test_errors_have_the_form_of_messages(gateway: Gateway) -> None:
    reply = gateway.call("POST", "/v1/messages", {"model": "opus"})

    assert reply.status == 400
    assert reply.json()["type"] == "error"
    assert reply.error["type"] == "invalid_request_error"
    assert reply.json()["request_id"] == reply.headers["x-centralcloud-request-id"]
