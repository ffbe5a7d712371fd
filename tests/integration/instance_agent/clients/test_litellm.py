"""litellm as a client of the gateway, by either of its protocols, at models of each protocol."""

import asyncio
import json
import warnings
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from pydantic import BaseModel
from support.clients import (
    IMAGE,
    PROVIDERS,
    SCHEMA,
    cancel_once_upstream_has_it,
    wait_until_upstream_is_free,
    words,
)
from support.gateways import Gateway
from support.upstream.process import FakeUpstream

if find_spec("litellm") is None:
    pytest.skip("litellm is in the extra `frameworks`: make test-frameworks", allow_module_level=True)

# It warns of its own code.
pytestmark = pytest.mark.filterwarnings("ignore")

TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
#: litellm's prefix chooses the protocol that it speaks; the rest is the gateway's name of the model.
MODELS = [f"{protocol}/{model}" for protocol in ("openai", "anthropic") for model in ("auto", "gpt", "opus", "flash")]


class Place(BaseModel):
    city: str


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> None:
    """Let the package keep its threads for logging."""


@pytest.fixture(scope="module")
def litellm() -> Iterator[Any]:
    """The package. It would fetch list prices from the network, and warns of its own code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            package = import_module("litellm")
        yield package


@pytest.fixture
def ask(litellm: Any, gateway: Gateway) -> Any:
    """Return a function that completes, with the gateway's address for the protocol of a model."""

    def options(model: str) -> dict[str, Any]:
        base = gateway.url if model.startswith("anthropic/") else gateway.openai_url
        return {"model": model, "api_base": base, "api_key": gateway.key, "max_retries": 0, "num_retries": 0}

    def complete(model: str, messages: Any = None, *, asynchronous: bool = False, **fields: Any) -> Any:
        function = litellm.acompletion if asynchronous else litellm.completion
        return function(**{**options(model), "messages": messages or words(), **fields})

    return complete


@pytest.mark.parametrize("model", MODELS)
def test_whole_answers_and_streams_with_usage(litellm: Any, ask: Any, model: str) -> None:
    answer = ask(model)

    assert answer.choices[0].message.content == "You said: hello there"
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("stop", 4)
    chunks = list(ask(model, stream=True, stream_options={"include_usage": True}))
    whole = litellm.stream_chunk_builder(chunks)
    assert whole.choices[0].message.content == "You said: hello there"
    assert whole.usage.completion_tokens == 4


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_tools_and_their_results(litellm: Any, ask: Any, model: str, stream: bool) -> None:
    answer = ask(model, tools=TOOLS, stream=stream)
    message = (litellm.stream_chunk_builder(list(answer)) if stream else answer).choices[0].message

    (call,) = message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    result = {"role": "tool", "tool_call_id": call.id, "name": "weather", "content": "sunny"}
    after = ask(model, [*words(), message.model_dump(), result], tools=TOOLS)
    assert after.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("model", MODELS)
def test_images_and_schemas(ask: Any, model: str) -> None:
    seen = ask(model, [{"role": "user", "content": [{"type": "text", "text": "look"}, IMAGE]}])
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}

    assert seen.choices[0].message.content == "You said: look (1 images)"
    for response_format in (form, Place):
        shaped = ask(model, response_format=response_format)
        assert json.loads(shaped.choices[0].message.content) == {"city": "Paris"}


def test_embeddings(litellm: Any, gateway: Gateway) -> None:
    asked: Any = {"model": "openai/embed", "api_base": gateway.openai_url, "api_key": gateway.key}
    vectors = litellm.embedding(input=["a", "b"], **asked)

    assert [len(each["embedding"]) for each in vectors.data] == [8, 8]
    assert len(asyncio.run(litellm.aembedding(input=["a"], **asked)).data) == 1


def test_errors_are_those_of_the_client(litellm: Any, ask: Any) -> None:
    for protocol in ("openai", "anthropic"):
        for provider in PROVIDERS:
            for behaviour, expected in (
                ("status=429+retry-after=7", litellm.RateLimitError),
                ("bad-request", litellm.BadRequestError),
                ("context-length", litellm.ContextWindowExceededError),
            ):
                with pytest.raises(expected) as failed:
                    ask(f"{protocol}/{provider}/litellm-{protocol}!{behaviour}")
                assert "sk-upstream" not in str(failed.value)
        with pytest.raises(litellm.NotFoundError):
            ask(f"{protocol}/nothing")
        with pytest.raises(litellm.AuthenticationError):
            ask(f"{protocol}/auto", api_key="sk-wrong")


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_a_client_that_gives_up_or_is_cancelled_frees_the_upstream(
    litellm: Any, ask: Any, fake_upstream: FakeUpstream, protocol: str
) -> None:
    with pytest.raises(litellm.Timeout):
        ask(f"{protocol}/alpha/litellm!hang", timeout=0.5)
    wait_until_upstream_is_free(fake_upstream)
    for provider in PROVIDERS:
        fake_upstream.reset()
        call = ask(f"{protocol}/{provider}/litellm!hang", asynchronous=True)
        asyncio.run(cancel_once_upstream_has_it(call, fake_upstream))


def test_the_asynchronous_client_does_the_same(ask: Any) -> None:
    async def use(model: str) -> None:
        answer = await ask(model, asynchronous=True)
        assert answer.choices[0].message.content == "You said: hello there"
        chunks = [each async for each in await ask(model, asynchronous=True, stream=True)]
        assert "".join(each.choices[0].delta.content or "" for each in chunks) == "You said: hello there"
        called = await ask(model, asynchronous=True, tools=TOOLS)
        assert json.loads(called.choices[0].message.tool_calls[0].function.arguments) == {"city": "Paris"}

    async def run() -> None:
        await asyncio.gather(*map(use, MODELS))

    asyncio.run(run())
