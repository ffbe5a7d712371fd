"""The vendors' own clients against the fake upstream: they show that it speaks the real protocols.

The dialects are tested against the fake upstream, so this is their link to the real services.
"""

import asyncio
import json
from typing import Any

import pytest
from support.clients import cancel_once_upstream_has_it, wait_until_upstream_is_free
from support.upstream.process import FakeUpstream

REASON = "the vendors' clients are in the extra `clients`"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture
def openai_client(fake_upstream: FakeUpstream) -> Any:
    openai = pytest.importorskip("openai", reason=REASON)
    with openai.OpenAI(base_url=fake_upstream.openai_url, api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(fake_upstream: FakeUpstream) -> Any:
    anthropic = pytest.importorskip("anthropic", reason=REASON)
    with anthropic.Anthropic(base_url=fake_upstream.url, api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture
def gemini_client(fake_upstream: FakeUpstream) -> Any:
    genai = pytest.importorskip("google.genai", reason=REASON)
    client = genai.Client(api_key="test", http_options={"base_url": fake_upstream.url})
    yield client
    client.close()


def _messages(text: str = "hello there") -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def test_openai_plain_with_usage(openai_client: Any) -> None:
    answer = openai_client.chat.completions.create(model="m", messages=_messages())

    assert answer.choices[0].message.content == "You said: hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (12, 4)


def test_openai_stream_with_usage(openai_client: Any) -> None:
    chunks = list(
        openai_client.chat.completions.create(
            model="m", messages=_messages(), stream=True, stream_options={"include_usage": True}
        )
    )

    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "You said: hello there"
    assert chunks[-1].usage.prompt_tokens == 12


@pytest.mark.parametrize("stream", [False, True])
def test_openai_tools(openai_client: Any, stream: bool) -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA, "strict": True}}]
    if stream:
        with openai_client.chat.completions.stream(model="m", messages=_messages(), tools=tools) as events:
            message = events.get_final_completion().choices[0].message
    else:
        message = openai_client.chat.completions.create(model="m", messages=_messages(), tools=tools).choices[0].message

    assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Paris"}


def test_openai_images_and_schema(openai_client: Any) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    seen = openai_client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": [{"type": "text", "text": "look"}, image]}]
    )
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
    shaped = openai_client.chat.completions.create(model="m", messages=_messages(), response_format=form)

    assert seen.choices[0].message.content == "You said: look (1 images)"
    assert json.loads(shaped.choices[0].message.content) == {"city": "Paris"}


def test_openai_embeddings_models_and_responses(openai_client: Any) -> None:
    vectors = openai_client.embeddings.create(model="fake-embedding", input=["a", "b"], dimensions=3)

    assert [len(each.embedding) for each in vectors.data] == [3, 3]
    assert [model.id for model in openai_client.models.list()] == ["fake-small", "fake-large", "fake-embedding"]
    assert openai_client.responses.create(model="m", input="hi").output_text == "You said: hi"


@pytest.mark.parametrize(
    ("behaviour", "name"),
    [
        ("status=500", "InternalServerError"),
        ("status=429", "RateLimitError"),
        ("echo-key", "AuthenticationError"),
        ("bad-request", "BadRequestError"),
        ("model-missing", "NotFoundError"),
        ("error-event=3", "APIError"),
    ],
)
def test_openai_errors(openai_client: Any, behaviour: str, name: str) -> None:
    import openai

    with pytest.raises(getattr(openai, name)):
        list(openai_client.chat.completions.create(model=f"m!{behaviour}", messages=_messages(), stream=True))


def test_openai_time_out(openai_client: Any) -> None:
    import openai

    with pytest.raises(openai.APITimeoutError):
        openai_client.chat.completions.create(model="m!hang", messages=_messages(), timeout=0.3)


def test_anthropic_plain_with_usage(anthropic_client: Any) -> None:
    answer = anthropic_client.messages.create(model="m", max_tokens=50, messages=_messages())

    assert answer.content[0].text == "You said: hello there"
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens, answer.usage.output_tokens) == (9, 3, 4)


@pytest.mark.parametrize("kind", ["text", "tools", "thinking", "schema"])
def test_anthropic_streams(anthropic_client: Any, kind: str) -> None:
    fields: dict[str, Any] = {
        "text": {},
        "tools": {"tools": [{"name": "weather", "input_schema": SCHEMA}]},
        "thinking": {"thinking": {"type": "adaptive"}},
        "schema": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    }[kind]
    with anthropic_client.messages.stream(model="m", max_tokens=2000, messages=_messages(), **fields) as events:
        message = events.get_final_message()

    last = message.content[-1]
    if kind == "tools":
        assert (last.name, last.input, message.stop_reason) == ("weather", {"city": "Paris"}, "tool_use")
    else:
        assert last.text == ('{"city": "Paris"}' if kind == "schema" else "You said: hello there")
    if kind == "thinking":
        assert (message.content[0].thinking, bool(message.content[0].signature)) == ("I think about it.", True)
    assert message.usage.output_tokens > 1


def test_anthropic_images_models_and_counts(anthropic_client: Any) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content = [{"type": "text", "text": "look"}, {"type": "image", "source": source}]
    seen = anthropic_client.messages.create(model="m", max_tokens=50, messages=[{"role": "user", "content": content}])

    assert seen.content[0].text == "You said: look (1 images)"
    assert [model.id for model in anthropic_client.models.list()] == ["fake-small", "fake-large", "fake-embedding"]
    assert anthropic_client.messages.count_tokens(model="m", messages=_messages("a b c")).input_tokens == 3


@pytest.mark.parametrize(
    ("behaviour", "name"),
    [
        ("status=529", "OverloadedError"),
        ("status=429", "RateLimitError"),
        ("echo-key", "AuthenticationError"),
        ("bad-request", "BadRequestError"),
        ("error-event=6", "APIStatusError"),
    ],
)
def test_anthropic_errors(anthropic_client: Any, behaviour: str, name: str) -> None:
    import anthropic

    expected = getattr(anthropic, name, anthropic.APIStatusError)
    with (
        pytest.raises(expected),
        anthropic_client.messages.stream(model=f"m!{behaviour}", max_tokens=50, messages=_messages()) as events,
    ):
        events.get_final_message()


def test_gemini_plain_with_usage(gemini_client: Any) -> None:
    answer = gemini_client.models.generate_content(model="fake-small", contents="hello there")

    assert answer.text == "You said: hello there"
    assert answer.candidates[0].finish_reason.name == "STOP"
    assert (answer.usage_metadata.prompt_token_count, answer.usage_metadata.candidates_token_count) == (12, 4)


def test_gemini_stream(gemini_client: Any) -> None:
    chunks = list(gemini_client.models.generate_content_stream(model="fake-small", contents="hello there"))

    assert "".join(chunk.text or "" for chunk in chunks) == "You said: hello there"
    assert chunks[-1].candidates[0].finish_reason.name == "STOP"
    assert chunks[-1].usage_metadata.prompt_token_count == 12


def test_gemini_tools_images_schema_and_thinking(gemini_client: Any) -> None:
    from google.genai import types

    tool = types.Tool(function_declarations=[{"name": "weather", "parameters_json_schema": SCHEMA}])
    automatic = types.AutomaticFunctionCallingConfig(disable=True)
    called = gemini_client.models.generate_content(
        model="fake-small",
        contents="hello",
        config=types.GenerateContentConfig(tools=[tool], automatic_function_calling=automatic),
    )
    shaped = gemini_client.models.generate_content(
        model="fake-small",
        contents="hello",
        config={"response_mime_type": "application/json", "response_json_schema": SCHEMA},
    )
    image = types.Part.from_bytes(data=b"png", mime_type="image/png")
    seen = gemini_client.models.generate_content(model="fake-small", contents=["look", image])
    thought = gemini_client.models.generate_content(
        model="fake-small", contents="hi", config={"thinking_config": {"include_thoughts": True}}
    )

    assert (called.function_calls[0].name, called.function_calls[0].args) == ("weather", {"city": "Paris"})
    assert called.candidates[0].content.parts[0].thought_signature == b"signature"
    assert json.loads(shaped.text) == {"city": "Paris"}
    assert seen.text == "You said: look (1 images)"
    assert [part.text for part in thought.candidates[0].content.parts if part.thought] == ["I think ", "about it."]


def test_gemini_embeddings_models_and_counts(gemini_client: Any) -> None:
    vectors = gemini_client.models.embed_content(
        model="fake-embedding", contents=["a", "b"], config={"output_dimensionality": 3}
    )

    assert [len(each.values) for each in vectors.embeddings] == [3, 3]
    assert [model.name for model in gemini_client.models.list()] == [
        "models/fake-small",
        "models/fake-large",
        "models/fake-embedding",
    ]
    assert gemini_client.models.count_tokens(model="fake-small", contents="a b c").total_tokens == 3


@pytest.mark.parametrize(("behaviour", "code"), [("status=503", 503), ("status=429", 429), ("echo-key", 400)])
def test_gemini_errors(gemini_client: Any, behaviour: str, code: int) -> None:
    from google.genai import errors

    with pytest.raises(errors.APIError) as refused:
        gemini_client.models.generate_content(model=f"m!{behaviour}", contents="hello")

    assert refused.value.code == code


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
def test_gemini_results_of_tools_asynchronously_and_cancelled(fake_upstream: FakeUpstream) -> None:
    genai = pytest.importorskip("google.genai", reason=REASON)
    from google.genai import types

    tool = types.Tool(function_declarations=[{"name": "weather", "parameters_json_schema": SCHEMA}])
    automatic = types.AutomaticFunctionCallingConfig(disable=True)
    config = types.GenerateContentConfig(tools=[tool], automatic_function_calling=automatic)

    async def use(models: Any) -> None:
        asked = types.Content(role="user", parts=[types.Part(text="hello")])
        called = await models.generate_content(model="fake-small", contents=[asked], config=config)
        result = types.Part.from_function_response(name="weather", response={"result": "sunny"})
        turns = [asked, called.candidates[0].content, types.Content(role="user", parts=[result])]
        after = await models.generate_content(model="fake-small", contents=turns, config=config)
        assert after.text.startswith("You said:")
        stream = await models.generate_content_stream(model="fake-small", contents="hello there")
        assert "".join([chunk.text or "" async for chunk in stream]) == "You said: hello there"
        fake_upstream.reset()
        call = models.generate_content(model="fake-small!hang", contents="hello")
        await cancel_once_upstream_has_it(call, fake_upstream)

    async def run() -> None:
        client = genai.Client(api_key="test", http_options={"base_url": fake_upstream.url})
        async with client.aio as asynchronous:
            await use(asynchronous.models)
        client.close()

    asyncio.run(run())


def test_gemini_time_out(fake_upstream: FakeUpstream) -> None:
    genai = pytest.importorskip("google.genai", reason=REASON)
    client = genai.Client(api_key="test", http_options={"base_url": fake_upstream.url, "timeout": 300})
    with pytest.raises(Exception, match=r"(?i)timed out|timeout"):
        client.models.generate_content(model="fake-small!hang", contents="hello")
    client.close()
    wait_until_upstream_is_free(fake_upstream)
