"""Publishing by a router of one's own: from a coroutine to linked records, and at the exit of the interpreter."""

import asyncio
import json
import subprocess
import sys
import threading
import time

import pytest
from psycopg.conninfo import make_conninfo
from support.commands import environment
from support.servers import execute
from support.waiting import eventually

from centralcloud.ingest.drain import drain
from centralcloud.runtime.postgres.database import Database
from instance_agent.deferred_publisher import DeferredPublisher
from instance_agent.publishing import Publisher

RECORDS = """
    SELECT outcome, model, provider, complexity, instance_id, response_time_ms, input_tokens, cost_usd, error_kind,
        decision_id
    FROM routing_records ORDER BY outcome DESC, model
"""


def test_decisions_and_outcomes_of_a_coroutine_become_linked_records(database: Database, database_url: str) -> None:
    publisher = Publisher(database_url=database_url, instance_id="my-router")

    async def answer(model: str, *, success: bool) -> str:
        decision_id = publisher.publish_decision("complex", model, "acme", propensity=0.5)
        await asyncio.sleep(0)
        publisher.publish_outcome(
            decision_id,
            success,
            840.4,
            input_tokens=10,
            cost_usd=0.01,
            error_kind=None if success else "provider",
        )
        return decision_id

    async def serve() -> list[str]:
        ids = await asyncio.gather(answer("large", success=True), answer("small", success=False))
        assert await asyncio.to_thread(publisher.flush, 20)
        return ids

    large, small = asyncio.run(serve())
    # Another process reports the outcome of a decision that it knows by its id.
    later = Publisher(database_url=database_url, instance_id="my-router")
    other = publisher.publish_decision("simple", "small", "acme")
    later.publish_outcome(other, True, complexity="simple", model="small", provider="acme")
    assert publisher.close(20)
    assert later.close(20)

    result = drain(database, batch_size=10).result
    assert (result.records, result.dead_letters) == (6, 0)
    same = ("complex", "my-router")
    assert execute(database_url, RECORDS) == [
        ("success", "large", "acme", *same, 840, 10, 0.01, None, large),
        ("success", "small", "acme", "simple", "my-router", None, None, None, None, other),
        ("routed", "large", "acme", *same, None, None, None, None, large),
        *sorted(
            [
                ("routed", "small", "acme", *same, None, None, None, None, small),
                ("routed", "small", "acme", "simple", "my-router", None, None, None, None, other),
            ]
        ),
        ("failure", "small", "acme", *same, 840, 10, 0.01, "provider", small),
    ]
    usage = execute(
        database_url,
        "SELECT model_name, usage_count, success_count FROM model_routing_metrics ORDER BY model_name, complexity_level",
    )
    assert usage == [("large", 1, 1), ("small", 1, 0), ("small", 1, 1)], "a decision and its outcome count once"


def test_a_database_without_a_schema_is_reported_with_the_command(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = Publisher(database_url=make_conninfo(database_url, dbname="postgres"), instance_id="i")
    publisher.publish_decision("simple", "m", "p")
    eventually(lambda: "database_unavailable" in caplog.text)
    assert not publisher.close(0)
    reason = 'schema "centralcloud" does not exist: run `centralcloud migrate` on this database'
    assert json.dumps(reason) in caplog.text


def test_a_call_does_not_wait_for_the_driver_or_the_database() -> None:
    publisher = Publisher(database_url="postgresql://user@127.0.0.1:1/none", instance_id="i")
    started = time.thread_time()
    for _ in range(100):
        publisher.publish_decision("simple", "m", "p")
    assert time.thread_time() - started < 0.1
    assert not publisher.flush(0.2)
    assert not publisher.close(0.2)


@pytest.mark.parametrize("warm", [False, True], ids=["at once", "after a flush"])
def test_events_in_memory_are_sent_at_the_exit_of_the_interpreter(
    database: Database, database_url: str, warm: bool
) -> None:
    script = (
        "from instance_agent.publishing import flush, publish_decision, publish_outcome\n"
        f"{'publish_decision(*arguments); flush(20)' if warm else ''}\n"
        "publish_outcome(publish_decision('simple', 'm', 'p'), True)\n"
    ).replace("*arguments", "'simple', 'first', 'p'")
    env = environment(DATABASE_URL=database_url, INSTANCE_ID="script")
    result = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert result.stderr == ""
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(2 + warm,)]


@pytest.mark.parametrize("threads", [1, 2, 3], ids=["the loading thread", "one of the pool", "two of the pool"])
def test_threads_that_cannot_start_at_the_exit_lose_no_event(
    database_url: str, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """From Python 3.12 on, no thread can start once the interpreter ends: neither the sender nor those of a pool."""
    publisher = Publisher(database_url=database_url, instance_id="i")
    start = threading.Thread.start
    started: list[str] = []
    closing: list[DeferredPublisher] = []

    def start_few(thread: threading.Thread) -> None:
        started.append(thread.name)
        if len(started) > threads:
            eventually(lambda: bool(closing) and closing[0]._closing)
            raise RuntimeError("can't create new thread at interpreter shutdown")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_few)
    publisher.publish_decision("simple", "m", "p")
    assert publisher._deferred is not None
    closing.append(publisher._deferred)
    eventually(lambda: len(started) > threads)
    assert publisher.close(5)
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(1,)]
