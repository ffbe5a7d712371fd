"""langchain-openai as a client of the gateway, at models of each protocol."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel
from support.clients import IMAGE, MODELS, PROVIDERS, cancel_once_upstream_has_it, wait_until_upstream_is_free
from support.gateways import Gateway
from support.upstream.process import FakeUpstream

langchain = pytest.importorskip(
    "langchain_openai", reason="langchain-openai is in the extra `frameworks`: make test-frameworks"
)


# It leaves its connections open.
pytestmark = pytest.mark.filterwarnings("ignore")


class Place(BaseModel):
    """A place."""

    city: str


class Weather(BaseModel):
    """The weather of a city."""

    city: str


def chat(gateway: Gateway, model: str, **options: Any) -> Any:
    own = {"base_url": gateway.openai_url, "api_key": gateway.key, "max_retries": 0}
    return langchain.ChatOpenAI(model=model, **{**own, **options})


@pytest.mark.parametrize("model", MODELS)
def test_whole_answers_and_streams_with_usage(gateway: Gateway, model: str) -> None:
    answer = chat(gateway, model).invoke("hello there")

    assert answer.content == "You said: hello there"
    assert answer.usage_metadata["output_tokens"] == 4
    assert answer.usage_metadata["input_tokens"] == 12
    assert answer.response_metadata["finish_reason"] == "stop"
    chunks = list(chat(gateway, model, stream_usage=True).stream("hello there"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert (whole.content, whole.usage_metadata["output_tokens"]) == ("You said: hello there", 4)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_tools_and_their_results(gateway: Gateway, model: str, stream: bool) -> None:
    from langchain_core.messages import HumanMessage, ToolMessage

    bound = chat(gateway, model, streaming=stream).bind_tools([Weather])
    answer = bound.invoke("hello there")

    (call,) = answer.tool_calls
    assert (call["name"], call["args"]) == ("Weather", {"city": "Paris"})
    after = bound.invoke([HumanMessage("hello there"), answer, ToolMessage("sunny", tool_call_id=call["id"])])
    assert after.content.startswith("You said:")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_structured_output(gateway: Gateway, model: str, method: str) -> None:
    if method == "json_mode":
        if model == "opus":
            pytest.skip("Anthropic has no such mode: the gateway asks for it in the system prompt")
        # The fake upstream answers an empty object, which is JSON and not a place.
        shaped = chat(gateway, model).with_structured_output(method=method)
        assert shaped.invoke("Answer in JSON.") == {}
        return
    assert chat(gateway, model).with_structured_output(Place, method=method).invoke("hello there") == Place(
        city="Paris"
    )


@pytest.mark.parametrize("model", MODELS)
def test_images(gateway: Gateway, model: str) -> None:
    from langchain_core.messages import HumanMessage

    asked = HumanMessage([{"type": "text", "text": "look"}, IMAGE])
    assert chat(gateway, model).invoke([asked]).content == "You said: look (1 images)"


def test_embeddings(gateway: Gateway) -> None:
    """By default the class sends tokens, of a tokenizer that it takes from the network."""
    embeddings = langchain.OpenAIEmbeddings(
        model="embed", base_url=gateway.openai_url, api_key=gateway.key, dimensions=3, check_embedding_ctx_length=False
    )
    vectors = embeddings.embed_documents(["a", "b"])

    assert [len(vector) for vector in vectors] == [3, 3]
    assert asyncio.run(embeddings.aembed_query("a")) in vectors


def test_errors_are_those_of_the_client(gateway: Gateway) -> None:
    import openai

    for provider in PROVIDERS:
        for behaviour, expected in (
            ("status=429+retry-after=7", openai.RateLimitError),
            ("bad-request", openai.BadRequestError),
        ):
            with pytest.raises(expected) as failed:
                chat(gateway, f"{provider}/langchain!{behaviour}").invoke("hello there")
            assert "sk-upstream" not in str(failed.value)
        with pytest.raises(openai.BadRequestError) as refused:
            chat(gateway, f"{provider}/langchain!context-length").invoke("hello there")
        assert refused.value.code == "context_length_exceeded"
    with pytest.raises(openai.NotFoundError):
        chat(gateway, "nothing").invoke("hello there")
    with pytest.raises(openai.AuthenticationError):
        chat(gateway, "auto", api_key="sk-wrong").invoke("hello there")


def test_a_client_that_gives_up_or_is_cancelled_frees_the_upstream(
    gateway: Gateway, fake_upstream: FakeUpstream
) -> None:
    import openai

    with pytest.raises(openai.APITimeoutError):
        chat(gateway, "alpha/langchain!hang", timeout=0.5).invoke("hello there")
    wait_until_upstream_is_free(fake_upstream)
    for provider in PROVIDERS:
        fake_upstream.reset()
        call = chat(gateway, f"{provider}/langchain!hang").ainvoke("hello there")
        asyncio.run(cancel_once_upstream_has_it(call, fake_upstream))


def test_the_asynchronous_client_does_the_same(gateway: Gateway) -> None:
    async def use(model: str) -> None:
        client = chat(gateway, model)
        assert (await client.ainvoke("hello there")).content == "You said: hello there"
        chunks = [chunk.content async for chunk in client.astream("hello there")]
        assert "".join(chunks) == "You said: hello there"
        assert len(chunks) > 3
        assert (await client.bind_tools([Weather]).ainvoke("hello there")).tool_calls[0]["args"] == {"city": "Paris"}
        assert await client.with_structured_output(Place).ainvoke("hello there") == Place(city="Paris")

    async def run() -> None:
        await asyncio.gather(*map(use, MODELS))

    asyncio.run(run())
