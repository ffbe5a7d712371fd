"""Whole answers that several requests share: whose they are, and which records they name."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import pytest

from instance_agent.chat.errors import InvalidRequestError
from instance_agent.execution.executor import Answer
from instance_agent.execution.same_request import SameRequests
from instance_agent.gateway.api.routing import _text, _usage
from instance_agent.gateway.auth import Principal
from instance_agent.gateway.context import RequestContext
from instance_agent.gateway.parts import GatewayParts
from instance_agent.gateway.shared_answer import SharedAnswer
from instance_agent.gateway.whole_answers import once, shared


def of_key(key: str, workspace: str | None = "w") -> RequestContext:
    state: Any = None
    return RequestContext(Principal(key_id=key, role="user", workspace=workspace), state)


def cached(body: bytes) -> Answer:
    return Answer(body=body, target="m@p#2", request_id="the-run")


def test_an_id_belongs_to_a_key_and_not_to_its_workspace() -> None:
    async def scenario() -> None:
        parts = cast("GatewayParts", SimpleNamespace(same=SameRequests[SharedAnswer](clock=lambda: 0.0)))
        runs: list[str] = []

        async def ask(context: RequestContext, interface: str = "v1") -> None:
            async def run() -> SharedAnswer:
                runs.append(context.request_id)
                answer = Answer(body=b"{}", target="m@p", request_id=context.request_id)
                return shared(context, answer, b"{}")

            await once(parts, context, interface, "one", (b"body",), run)

        first, again, other, routed = of_key("a"), of_key("a"), of_key("b"), of_key("a")
        own = again.request_id
        for context, interface in ((first, "v1"), (again, "v1"), (other, "v1"), (routed, "route")):
            await ask(context, interface)
        assert runs == [first.request_id, other.request_id, routed.request_id]
        assert again.request_id == first.request_id != own, "that of the run, which has the records"
        assert (again.model, again.provider) == ("m", "p")

    asyncio.run(scenario())


class Threads(ThreadPoolExecutor):
    """The threads of a loop; `used` counts what they were given."""

    used = 0

    def submit(self, *arguments: Any, **options: Any) -> Any:
        self.used += 1
        return super().submit(*arguments, **options)


def test_the_loop_hashes_no_large_body_and_uses_no_thread_for_a_small_one() -> None:
    async def scenario() -> None:
        parts = cast("GatewayParts", SimpleNamespace(same=SameRequests[SharedAnswer](clock=lambda: 0.0)))
        runs: list[bytes] = []

        async def ask(body: bytes, same_id: str) -> None:
            context = of_key("a")

            async def run() -> SharedAnswer:
                runs.append(body)
                return shared(context, Answer(body=b"{}", target="m@p", request_id="r"), b"{}")

            await once(parts, context, "v1", same_id, (b"openai", body), run)

        with Threads(2) as threads:
            asyncio.get_running_loop().set_default_executor(threads)
            small, large = b"{}", b"x" * (1024 * 1024)
            await ask(small, "one")
            assert threads.used == 0
            await asyncio.gather(*(ask(large, "two") for _ in range(3)))
            assert threads.used == 3
            with pytest.raises(InvalidRequestError, match="another request had"):
                await ask(large + b" ", "two")
        assert runs == [small, large]

    asyncio.run(scenario())


def test_an_answer_of_the_cache_names_its_model_and_the_request_that_has_the_records() -> None:
    context = of_key("a")
    answer = shared(context, cached(b"{}"), b"{}")
    assert answer.request_id == "the-run"
    assert dict(answer.headers) == {
        "content-type": "application/json",
        "x-centralcloud-model": "m",
        "x-centralcloud-provider": "p",
        "x-centralcloud-reason": "cache",
        "x-centralcloud-cost-usd": "0",
    }


def test_an_answer_of_any_service_that_was_kept_is_read_for_api_route() -> None:
    for body, text, tokens in (
        (b'{"choices": [{"message": {"content": "hi"}}], "usage": {"prompt_tokens": 3}}', "hi", 3),
        (b'{"choices": [{"message": {"content": null}}], "usage": {"prompt_tokens": "3"}}', "", None),
        (b'{"choices": [{"message": {"content": "\\ud800"}}]}', "\ufffd", None),
        (b'{"choices": [{}]}', "", None),
        (b'{"choices": null}', "", None),
    ):
        answer = cached(body)
        assert (_text(answer), _usage(answer)["promptTokens"]) == (text, tokens)
