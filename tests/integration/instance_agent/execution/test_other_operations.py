"""Embeddings, forwarded operations, the cache, the same request twice, and forced models."""

import asyncio
import base64
import hashlib
import json
import struct
import time
from typing import Any

import pytest
from support.executions import a_bench, a_request, chosen_text, read_all, run
from support.upstream.process import FakeUpstream

from instance_agent.chat.errors import UnsupportedFeatureError
from instance_agent.chat.protocol import RequestHead
from instance_agent.chat.protocols import OPENAI
from instance_agent.execution.attempts import Attempt
from instance_agent.execution.circuit_breaker import BreakerSettings
from instance_agent.execution.errors import ExecutionError
from instance_agent.execution.executor import Answer
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.request import EmbeddingsRequest, ExecutionRequest
from instance_agent.execution.response_cache import ResponseCache
from instance_agent.execution.same_request import SameRequests
from instance_agent.execution.token_count import count_tokens
from instance_agent.providers.classification import unreadable
from instance_agent.providers.dialect import EmbeddingRequest


def embeddings(encoding: Any = "float", **fields: Any) -> EmbeddingsRequest:
    body = json.dumps({"model": "auto", "input": ["one", "two"], "encoding_format": encoding, **fields}).encode()
    return EmbeddingsRequest(
        EmbeddingRequest(inputs=("one", "two")),
        encoding,
        request_id="r-2",
        protocol=OPENAI,
        head=RequestHead(model="auto", text="", characters=6, messages=2),
        body=body,
    )


@pytest.mark.parametrize("dialect", ["openai", "gemini"])
@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_have_openais_form_whatever_the_dialect(
    fake_upstream: FakeUpstream, dialect: str, encoding: str
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            answer = await bench.executor.execute(bench.plan(f"{dialect}:m"), embeddings(encoding))
            data = sorted(json.loads(answer.body)["data"], key=lambda each: each["index"])
            vectors = [each["embedding"] for each in data]
            if encoding == "base64":
                raw = [base64.b64decode(each) for each in vectors]
                vectors = [list(struct.unpack(f"<{len(each) // 4}f", each)) for each in raw]
            assert len(vectors) == 2
            assert vectors[0] != vectors[1]
            assert all(0 <= number <= 1 for vector in vectors for number in vector)
            (record,) = bench.records
            assert record.outcome == "success"
            assert record.usage is not None
            assert record.usage.output_tokens == 0

    run(scenario())


def test_embeddings_fall_back_and_pass_over_dialects_without_them(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            plan = bench.plan("anthropic:a", "openai:b!status=503", "openai:c")
            answer = await bench.executor.execute(plan, embeddings())
            assert answer.target == "c@openai"
            assert [record.number for record in bench.records] == [1, 2]

    run(scenario())


def responses(*, stream: bool = False) -> ExecutionRequest:
    body = json.dumps({"model": "auto", "input": "hello there", "stream": stream}).encode()
    head = RequestHead(model="auto", text="", characters=11, messages=1, stream=stream)
    return ExecutionRequest(request_id="r", protocol=OPENAI, head=head, body=body, operation="responses")


def test_responses_pass_through_to_targets_that_speak_them(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            answer = await bench.executor.execute(bench.plan("anthropic:a", "openai:m"), responses())
            assert json.loads(answer.body)["output"][0]["content"][0]["text"] == "You said: hello there"
            assert fake_upstream.last_body()["model"] == "m"
            with pytest.raises(UnsupportedFeatureError):
                await bench.executor.execute(bench.plan("anthropic:a"), responses())

    run(scenario())


def test_an_input_of_tokens_is_only_forwarded(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            request = embeddings()
            request.embedding = None
            answer = await bench.executor.execute(bench.plan("gemini:m", "openai:m"), request)
            assert answer.target == "m@openai"
            with pytest.raises(UnsupportedFeatureError, match="tokens"):
                await bench.executor.execute(bench.plan("gemini:m"), request)

    run(scenario())


def test_tokens_are_counted_within_a_bound_of_targets_and_time(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            calls, breakers, request = bench.executor._calls, bench.breakers, a_request("anthropic")
            failing = [f"anthropic:m{n}!status=500" for n in range(6)]
            counted = await bench.executor.count_tokens(bench.plan("openai:x", "anthropic:m"), request)
            assert counted is not None
            assert (counted[0].target.key, counted[1]) == ("m@anthropic", 2)
            assert fake_upstream.state()["total"] == 1, "OpenAI's protocol does not count"

            assert await bench.executor.count_tokens(bench.plan(*failing, "anthropic:m"), request) is None
            assert fake_upstream.state()["total"] == 1 + 3

            began = time.monotonic()
            hanging = bench.plan("anthropic:a!hang", "anthropic:b!hang")
            assert await count_tokens(calls, breakers, hanging, request, most=3, seconds=0.2) is None
            assert time.monotonic() - began < 2.0

    run(scenario())


def test_a_target_whose_breaker_is_open_is_not_asked_to_count(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream, breaker=BreakerSettings(consecutive_failures=1)) as bench:
            plan = bench.plan("anthropic:a", "anthropic:b")
            now = asyncio.get_running_loop().time()
            permit = bench.breakers.admit(plan[0].target, now)
            assert permit is not None
            permit.failed(unreadable(plan[0].target.upstream, "x"), now)
            counted = await bench.executor.count_tokens(plan, a_request("anthropic"))
            assert counted is not None
            assert counted[0].target.key == "b@anthropic"
            assert bench.calls_of("a") == 0

    run(scenario())


def test_the_cache_answers_the_same_tenant_and_no_other(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream, cache=ResponseCache()) as bench:
            plan = bench.plan("openai:m")
            answers = [
                await bench.executor.execute(plan, a_request(tenant=tenant, temperature=0))
                for tenant in ("one", "one", "two", "one")
            ]
            assert [answer.cached for answer in answers] == [False, True, False, True]
            assert {answer.request_id for answer in answers} == {"r-1"}
            assert {chosen_text(answer.body) for answer in answers} == {"You said: hello there"}
            assert bench.calls_of("m") == 2
            assert len(bench.records) == 2, "an answer from the cache is not an attempt"

    run(scenario())


def test_without_a_cache_each_request_is_a_call(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            for _ in range(2):
                await bench.executor.execute(bench.plan("openai:m"), a_request(temperature=0))
            assert bench.calls_of("m") == 2

    run(scenario())


def test_the_cache_keeps_no_answer_with_a_defect_and_gives_none_of_a_target_that_is_not_planned(
    fake_upstream: FakeUpstream,
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream, cache=ResponseCache()) as bench:
            for _ in range(2):
                await bench.executor.execute(bench.plan("openai:e!empty-answer"), a_request(temperature=0))
            assert bench.calls_of("e!empty-answer") == 2
            await bench.executor.execute(bench.plan("openai:a"), a_request(temperature=0))
            answer = await bench.executor.execute(bench.plan("openai:b"), a_request(temperature=0))
            assert (answer.target, answer.cached) == ("b@openai", False)

    run(scenario())


def test_the_same_id_twice_at_once_is_one_call_of_the_upstream(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            loop = asyncio.get_running_loop()
            same: SameRequests[Answer] = SameRequests(clock=loop.time, size_of=lambda answer: len(answer.body))
            plan, request = bench.plan("openai:m!slow-headers=0.3"), a_request()

            async def send(tenant: str) -> Answer:
                digest = hashlib.sha256(request.body).digest()
                answer, _ = await same.run(tenant, "id-1", digest, lambda: bench.executor.execute(plan, request))
                return answer

            answers = await asyncio.gather(*(send("one") for _ in range(5)))
            answers.append(await send("one"))
            assert len({id(answer) for answer in answers}) == 1
            assert bench.calls_of("m!slow-headers=0.3") == 1
            await send("two")
            assert bench.calls_of("m!slow-headers=0.3") == 2

    run(scenario())


def test_a_model_that_the_client_named_is_called_although_its_breaker_is_open(fake_upstream: FakeUpstream) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream, breaker=BreakerSettings(consecutive_failures=1, open_seconds=60)) as bench:
            fake_upstream.behave("status=500", times=1, model="m")
            (call,) = bench.plan("openai:m", propensity=None)
            forced = [PlannedCall(target=call.target, reason="forced")]
            with pytest.raises(ExecutionError):
                await bench.executor.execute(forced, a_request())
            answers = await asyncio.gather(*(bench.executor.execute(forced, a_request()) for _ in range(10)))
            assert len(answers) == 10
            assert {record.propensity for record in bench.records} == {None}

    run(scenario())


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_default_parameters_of_the_catalog_fill_in_what_the_client_left_out(
    fake_upstream: FakeUpstream, dialect: str
) -> None:
    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            (call,) = bench.plan(f"{dialect}:m")
            parameters = {"temperature": 0.25, "max_tokens": 55, "model": "no", "stream": True}
            call.target.model = call.target.model.model_copy(update={"parameters": parameters})
            await bench.executor.execute([call], a_request(max_tokens=77))
            sent = fake_upstream.last_body()
            assert (sent["temperature"], sent["max_tokens"], sent["model"]) == (0.25, 77, "m")
            assert not sent.get("stream")

    run(scenario())


def test_a_sink_that_fails_is_logged_and_fails_no_request(
    fake_upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        def record(self, attempt: Attempt, context: Any) -> None:
            raise RuntimeError("the disk is full")

    async def scenario() -> None:
        async with a_bench(fake_upstream) as bench:
            bench.executor._reports._sink = Failing()
            await bench.executor.execute(bench.plan("openai:m"), a_request())
            await read_all(await bench.executor.stream(bench.plan("openai:m"), a_request(stream=True)))
            assert caplog.text.count("attempt_not_recorded") == 2

    run(scenario())
