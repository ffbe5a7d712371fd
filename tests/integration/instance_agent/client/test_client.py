"""The client against the fake upstream: seed 002's snippets, failures, escalation, threads, and its end."""

import asyncio
import gc
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.upstream.process import FakeUpstream
from support.waiting import eventually

from instance_agent import (
    RouterAnalytics,
    TaskType,
    UnifiedModelClient,
)
from instance_agent.client.usage_records import UsageRecords

REPOSITORY = Path(__file__).resolve().parents[4]
LOCAL_MODELS = ("fake-large", "fake-small")


@pytest.fixture
def records() -> UsageRecords:
    return UsageRecords()


@pytest.fixture
def client(records: UsageRecords) -> Iterator[UnifiedModelClient]:
    with UnifiedModelClient(records=records) as client:
        yield client


def all_fail(upstream: FakeUpstream, *models: str, behaviour: str = "status=503") -> None:
    for model in models:
        upstream.behave(behaviour, model=model)


@pytest.mark.parametrize("alias", ["local_mlx", "claude", "openai", "gemini"])
def test_all_four_providers_answer_with_their_keys_alone(
    client: UnifiedModelClient, fake_upstream: FakeUpstream, alias: str
) -> None:
    result = client.generate_sync("Say hello", context={"force_model": alias, "max_tokens": 2, "system": "Be brief"})
    assert (result["success"], result["content"], result["error"]) == (True, "You said: ", None)
    body = fake_upstream.last_body()
    if alias == "openai":  # its newer models refuse the older name
        assert body["max_completion_tokens"] == 2
    assert "Be brief" in str(body)


def test_a_missing_key_is_the_reason_of_a_forced_model_and_others_go_on(
    client: UnifiedModelClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    assert not asyncio.run(client.check_health())["claude-opus-5-5"]["available"]
    result = client.generate_sync("Think", TaskType.REASONING, 8, {"force_model": "claude"})
    assert not result["success"]
    assert "ANTHROPIC_API_KEY is not set" in str(result["error"])
    assert client.generate_sync("Think", TaskType.REASONING, 8)["provider"] == "gemini"


def test_after_two_failures_of_local_models_a_paid_one_comes_first(
    client: UnifiedModelClient, fake_upstream: FakeUpstream, records: UsageRecords
) -> None:
    all_fail(fake_upstream, *LOCAL_MODELS)
    for _ in range(2):
        result = client.generate_sync("Write hello world", TaskType.CODE_GENERATION, 2)
        assert (result["success"], result["escalated"]) == (True, True)
        assert [each["provider"] for each in result["attempts"]] == ["lm_studio", "openai"]
        assert "local models failed in this request (1)" in result["reasoning"]
    result = client.generate_sync("Write hello world", TaskType.CODE_GENERATION, 2)
    assert [each["provider"] for each in result["attempts"]] == ["openai"]
    assert result["escalated"]
    assert "after failures of local models in a row" in result["reasoning"]
    assert RouterAnalytics(records).get_cost_analysis()["escalated_requests"] == 3


def test_a_success_of_a_local_model_ends_its_row_of_failures(
    client: UnifiedModelClient, fake_upstream: FakeUpstream
) -> None:
    for _ in range(3):
        all_fail(fake_upstream, *LOCAL_MODELS)
        assert client.generate_sync("Write hello world", TaskType.CODE_GENERATION, 2)["provider"] == "openai"
        fake_upstream.reset()
        assert client.generate_sync("Write hello world", TaskType.CODE_GENERATION, 2)["provider"] == "lm_studio"


@pytest.mark.parametrize("down", [("lm_studio", "openai"), ("anthropic", "gemini"), ("lm_studio", "anthropic")])
def test_with_two_providers_down_every_request_has_an_answer(
    client: UnifiedModelClient, fake_upstream: FakeUpstream, down: tuple[str, str]
) -> None:
    models = client.check_health_sync()
    all_fail(fake_upstream, *(name for name, each in models.items() if each["provider"] in down))
    for number in range(12):
        result = client.generate_sync(f"Task {number}", list(TaskType)[number % 6], complexity=1 + number % 10)
        assert result["success"], result["error"]
        assert result["provider"] not in down
        assert len(result["attempts"]) <= 3


def test_a_wrong_key_of_one_provider_leads_to_another_one(
    client: UnifiedModelClient, fake_upstream: FakeUpstream
) -> None:
    all_fail(fake_upstream, "claude-opus-5-5", behaviour="echo-key")
    result = client.generate_sync("Think", TaskType.REASONING, 9)
    assert (result["success"], result["provider"]) == (True, "gemini")
    assert [each["success"] for each in result["attempts"]] == [False, True]
    assert "secret" not in str(result)


def test_total_failure_is_a_result_with_the_reason_and_at_most_three_attempts(
    client: UnifiedModelClient, fake_upstream: FakeUpstream, records: UsageRecords
) -> None:
    fake_upstream.behave("status=503")
    result = client.generate_sync("Do it", TaskType.ANALYSIS, 5)
    assert (result["success"], result["content"]) == (False, "")
    assert "HTTP 503" in str(result["error"])
    assert len(result["attempts"]) == 3
    assert records.requests().failures == 1
    for wrong in ({"complexity": 11}, {"force_model": "no-such-model"}):
        result = client.generate_sync("Do it", context=wrong)
        assert not result["success"]
        assert str(next(iter(wrong.values()))) in str(result["error"])


def test_a_forced_model_is_called_while_its_breaker_is_open(
    client: UnifiedModelClient, fake_upstream: FakeUpstream
) -> None:
    all_fail(fake_upstream, "claude-opus-5-5")
    for _ in range(6):
        client.generate_sync("Think", context={"force_model": "claude-opus-5-5"})
    assert not client.check_health_sync()["claude-opus-5-5"]["available"]
    assert client.generate_sync("Think", TaskType.REASONING, 9)["provider"] == "gemini"
    fake_upstream.reset()
    result = client.generate_sync("Think", context={"force_model": "claude-opus-5-5"})
    assert (result["success"], result["model"]) == (True, "claude-opus-5-5")


def test_an_empty_answer_is_a_failure_and_another_model_is_tried(
    client: UnifiedModelClient, fake_upstream: FakeUpstream
) -> None:
    all_fail(fake_upstream, "claude-opus-5-5", behaviour="empty-answer")
    result = client.generate_sync("Do it", TaskType.REASONING, 9)
    assert (result["success"], result["provider"]) == (True, "gemini")
    assert [each["success"] for each in result["attempts"]] == [False, True]
    forced = client.generate_sync("Do it", context={"force_model": "claude-opus-5-5"})
    assert (forced["success"], forced["error_code"]) == (False, "empty_answer")


def test_threads_and_event_loops_share_one_client(client: UnifiedModelClient, records: UsageRecords) -> None:
    async def together() -> list[bool]:
        return [each["success"] for each in await asyncio.gather(*(client.generate(f"Task {n}") for n in range(10)))]

    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(client.generate_sync, f"Task {n}") for n in range(10)]
        loops = [pool.submit(asyncio.run, together()) for _ in range(2)]
        assert all(each.result()["success"] for each in others)
        assert all(all(each.result()) for each in loops)
    assert records.requests().requests == 30
    assert len([each for each in threading.enumerate() if each.name == "model-client"]) == 1


def test_a_caller_that_is_cancelled_frees_the_upstream(client: UnifiedModelClient, fake_upstream: FakeUpstream) -> None:
    fake_upstream.behave("hang", model="claude-opus-5-5")

    async def impatient() -> None:
        call = asyncio.create_task(client.generate("Think", TaskType.REASONING, 9))
        await asyncio.to_thread(eventually, lambda: fake_upstream.requests("claude-opus-5-5"))
        call.cancel()
        await call

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(impatient())
    eventually(lambda: [each["ended"] for each in fake_upstream.requests("claude-opus-5-5")] == ["client gone"])


def test_a_request_ends_at_its_deadline(fake_upstream: FakeUpstream) -> None:
    fake_upstream.behave("hang", model="claude-opus-5-5")
    with UnifiedModelClient(deadline_seconds=0.3) as client:
        result = client.generate_sync("Think", TaskType.REASONING, 9)
    assert (result["success"], len(result["attempts"])) == (False, 1)
    assert "no answer within the 0.3 s" in str(result["error"])


def test_the_end_of_a_client_ends_its_requests_with_a_result(fake_upstream: FakeUpstream) -> None:
    fake_upstream.behave("hang", model="claude-opus-5-5")
    client = UnifiedModelClient()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.generate_sync, "Think", TaskType.REASONING, 9)
        eventually(lambda: bool(fake_upstream.requests("claude-opus-5-5")))
        client.close()
        result = running.result(10)
    assert (result["success"], result["error_code"]) == (False, "closed")
    result = client.generate_sync("Think")
    assert (result["success"], result["error"]) == (False, "the client is closed, expected a new one")
    client.close()


def test_a_client_that_is_forgotten_ends_by_itself() -> None:
    client = UnifiedModelClient()
    assert client.generate_sync("Think")["success"]
    del client
    gc.collect()
    eventually(lambda: not [each for each in threading.enumerate() if each.name == "model-client"])


def test_a_program_and_its_fork_that_close_nothing_end_without_a_warning() -> None:
    program = (
        "import asyncio, os, instance_agent\n"
        "agent = instance_agent.create_routed_coder_agent()\n"
        "asyncio.run(agent.generate_response('Sort a list', context={'complexity': 3}))\n"
        "child = os.fork()\n"
        "result = asyncio.run(agent.generate_response('Sort a set', context={'complexity': 3}))\n"
        "report = instance_agent.RouterAnalytics().get_model_performance_report()\n"
        "count = sum(each['requests'] for each in report.values())\n"
        "os.write(1, f\"{result['success']} {count}\\n\".encode())\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, sorted(done.stdout.splitlines()), done.stderr) == (0, ["True 1", "True 2"], "")


def test_debug_logs_have_the_decision_and_neither_prompts_nor_keys(
    client: UnifiedModelClient, fake_upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake_upstream.behave("echo+status=500", times=1)
    result = client.generate_sync("confidential words", TaskType.REASONING, 9, {"system": "confidential role"})
    assert result["success"]
    text = caplog.text
    assert "request_planned" in text
    assert "a reasoning model, for complexities from 7 on" in text
    assert "confidential" not in text
    assert "sk-secret" not in text


def test_the_example_of_a_routed_coder_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "examples/routed_coder.py"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "no answer" not in done.stdout
    lines = done.stdout.splitlines()
    assert any(each.startswith("  fake-large: a local model, for complexities up to 3") for each in lines)
    assert "comparison: claude-opus-5-5" in lines
    assert "fake-embedding: available" in lines
    assert lines[-1].startswith("Total cost: $0.0")
