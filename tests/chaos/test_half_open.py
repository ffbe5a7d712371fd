"""A connection that falls silent without closing: the client gives up, reconnects, and blocks others for seconds only.

The duration of each step is logged: `pytest --log-cli-level=INFO tests/chaos/test_half_open.py`.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from support.events import an_event, send
from support.programs import Program
from support.sabotage import SHORT_LIMIT_SECONDS
from support.servers import execute
from support.tcp_proxy import TcpProxy
from support.waiting import eventually

from centralcloud.administration.verification import verify
from centralcloud.runtime.postgres import database, notifications, session
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.notifications import NotificationListener
from instance_agent import AgentSettings, InstanceAgent

Start = Callable[..., Program]

#: After how long a silent connection is given up. The short form takes a third of the time.
with_both_limits = pytest.mark.parametrize(
    "limit_seconds", [SHORT_LIMIT_SECONDS, pytest.param(database.LIMIT_SECONDS, marks=pytest.mark.soak)]
)

#: One consumer, so that the silence begins in the middle of its batch, and fast polls, so that only the silence is measured.
_DAEMON = {
    "CENTRALCLOUD_CONSUMERS": "1",
    "CENTRALCLOUD_POLL_INTERVAL_SECONDS": "0.2",
    "CENTRALCLOUD_BATCH_SIZE": "200",
}


class Producer:
    """Sends events with decision ids straight to the server, a hundred at a time, until the block ends."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sent = 0
        self._thread.start()

    def __enter__(self) -> "Producer":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(0.1):
            send(self._url, [an_event(decision_id=f"d-{self.sent + n}") for n in range(100)])
            self.sent += 100


@contextmanager
def held_up(url: str, statement: str, *, table: str, events: Sequence[dict] = ()) -> Iterator[None]:
    """Make a client wait in `statement` for a lock of the test on `table` until the end of the block.

    `events` are sent once the lock is held.
    """
    with psycopg.connect(url) as blocker:
        blocker.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        send(url, list(events))
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
        eventually(lambda: execute(url, waiting, (f"%{statement}%",)), what=f"a client waiting in {statement}")
        yield


def measured(step: str, *, since: float) -> float:
    """Log the duration of a step, and return it in seconds."""
    seconds = time.monotonic() - since
    logging.getLogger(__name__).info("%s: %.1f s", step, seconds)
    return seconds


def fault_for(limit_seconds: float) -> str | None:
    return "short_time_limits" if limit_seconds == SHORT_LIMIT_SECONDS else None


def records(url: str) -> int:
    return execute(url, "SELECT count(*) FROM routing_records")[0][0]


@with_both_limits
def test_a_daemon_that_falls_silent_in_a_batch_comes_back_and_counts_everything_once(
    start: Start, database_url: str, proxy: TcpProxy, limit_seconds: float
) -> None:
    daemon = start("centralcloud", "run", fault=fault_for(limit_seconds), DATABASE_URL=proxy.url, **_DAEMON)
    daemon.wait_for("started")
    with Producer(database_url) as producer:
        eventually(lambda: records(database_url) > 1000, what="ingest in full swing")
        with held_up(database_url, "INSERT INTO public.decision_ids", table="decision_ids"):
            proxy.pause()
        silent_at = time.monotonic()
        daemon.wait_for("database_unavailable")
        measured("noticed after", since=silent_at)
        proxy.resume()
        resumed_at = time.monotonic()
        taken_before = records(database_url)
        eventually(lambda: records(database_url) > taken_before, within_seconds=20, what="ingest again")
        measured("ingest resumed after", since=resumed_at)
    eventually(lambda: records(database_url) >= producer.sent, within_seconds=30, what="all records")
    measured("caught up after", since=resumed_at)
    daemon.wait_for("database_restored")
    assert daemon.process.poll() is None
    assert execute(database_url, "SELECT count(*), count(DISTINCT decision_id) FROM routing_records") == [
        (producer.sent, producer.sent)
    ]
    assert execute(database_url, "SELECT usage_count FROM model_routing_metrics") == [(producer.sent,)]
    with Database(database_url, application_name="tests") as direct:
        assert verify(direct).differences == []


@with_both_limits
def test_the_locks_of_a_silent_consumer_hold_others_up_for_seconds_only(
    start: Start, database_url: str, proxy: TcpProxy, limit_seconds: float
) -> None:
    """The silent consumer has inserted a decision and locks the slice: an outcome waits for it, and so does the learner."""
    fault = fault_for(limit_seconds)
    silent = start("centralcloud", "run", "--no-learn", fault=fault, DATABASE_URL=proxy.url, **_DAEMON)
    silent.wait_for("started")
    event = an_event(decision_id="d")
    with held_up(database_url, "INSERT INTO public.decision_ids", table="decision_ids", events=[event]):
        proxy.pause()
    silent_at = time.monotonic()
    send(database_url, [an_event(decision_id="d", outcome="success")])
    quick = _DAEMON | {"CENTRALCLOUD_LEARN_INTERVAL_SECONDS": "0.5"}
    direct = start("centralcloud", "run", fault=fault, DATABASE_URL=database_url, **quick)
    eventually(lambda: records(database_url) == 2, within_seconds=25, what="the outcome and the decision")
    blocked_for = measured("consumer blocked", since=silent_at)
    runs = "SELECT count(*) FROM learning_runs"
    eventually(lambda: execute(database_url, runs)[0][0] > 0, within_seconds=10, what="a run of the learner")
    measured("learner blocked", since=silent_at)
    assert blocked_for < limit_seconds + 5
    assert direct.process.poll() is None
    assert execute(database_url, "SELECT routed_count, success_count, usage_count FROM model_routing_metrics") == [
        (1, 1, 1)
    ]


CATALOG = """
models:
  - {name: good, provider: p, complexity_scores: {simple: 2.0, medium: 2.0, complex: 2.0}}
  - {name: bad, provider: p, complexity_scores: {simple: 2.1, medium: 2.1, complex: 2.1}}
"""


@pytest.fixture
def agent(
    proxy: TcpProxy, tmp_path: Path, limit_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> Iterator[InstanceAgent]:
    """An instance behind the proxy."""
    monkeypatch.setattr(database, "LIMIT_SECONDS", limit_seconds)
    for setting in ("idle_in_transaction_session_timeout", "tcp_user_timeout"):
        monkeypatch.setitem(session.OVERRIDDEN, setting, f"'{limit_seconds:g}s'")
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    settings = AgentSettings(
        database_url=proxy.url,
        instance_id="i-1",
        catalog=tmp_path / "catalog.yaml",
        state_dir=tmp_path / "state",
        poll_interval_seconds=0.2,
    )
    with InstanceAgent(settings) as agent:
        yield agent


def set_score(url: str, model: str, score: float) -> None:
    message = {"model": model, "complexity": "complex", "new_score": score}
    execute(url, "SELECT pgmq.send('model_score_updates', %s::jsonb)", (json.dumps(message),))


@with_both_limits
def test_an_instance_that_falls_silent_routes_on_and_gets_the_scores_it_missed(
    agent: InstanceAgent, database_url: str, proxy: TcpProxy
) -> None:
    decisions: list[str] = []
    routing_seconds: list[float] = []

    def route() -> str:
        decision = agent.router.route("complex")
        decisions.append(decision.decision_id)
        return decision.model.name

    def noticed() -> bool:
        started = time.monotonic()
        assert route() == "good", "the last good scores"
        routing_seconds.append(time.monotonic() - started)
        return agent.updater.database.unavailable

    set_score(database_url, "good", 3.0)
    eventually(lambda: route() == "good", what="the first score")
    with held_up(database_url, "centralcloud.acknowledge", table="instances"):
        proxy.pause()
    silent_at = time.monotonic()
    set_score(database_url, "bad", 4.0)
    eventually(noticed, within_seconds=30, what="the silence noticed")
    measured("noticed after", since=silent_at)
    proxy.resume()
    resumed_at = time.monotonic()
    eventually(lambda: route() == "bad", within_seconds=30, what="the score sent during the silence")
    measured("score applied after", since=resumed_at)
    assert max(routing_seconds) < 0.5, "routing waits for nothing"
    queued = "SELECT DISTINCT message->'routing_decision'->>'decision_id' FROM pgmq.q_model_routing_decisions"
    eventually(lambda: {row[0] for row in execute(database_url, queued)} == set(decisions), what="every decision sent")


def test_a_listener_that_falls_silent_listens_again(
    database_url: str, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "_PROBE_EVERY_WAITS", 1)
    heard = threading.Semaphore(0)
    with Database(proxy.url, application_name="tests") as proxied:
        listener = NotificationListener(proxied, {"chaos": heard.release})
        listener.start()
        try:
            assert heard.acquire(timeout=10), "connected"
            proxy.pause()
            silent_at = time.monotonic()
            eventually(lambda: proxied.unavailable, what="the silence noticed")
            measured("noticed after", since=silent_at)
            proxy.resume()
            resumed_at = time.monotonic()
            assert heard.acquire(timeout=20), "connected again"
            measured("listening after", since=resumed_at)
            execute(database_url, "NOTIFY chaos")
            assert heard.acquire(timeout=5), "a notification"
        finally:
            listener.stop()
            assert listener.join(10)
