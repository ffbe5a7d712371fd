"""The queue without a consumer: its depth and growth, and the purge of old messages."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from prometheus_client import CollectorRegistry
from support.commands import run_command
from support.events import an_event, outcomes, send
from support.servers import execute
from typer.testing import CliRunner

from centralcloud.administration import decision_queue
from centralcloud.administration.decision_queue import OldMessages
from centralcloud.administration.verification import verify
from centralcloud.cli.app import app
from centralcloud.cli.queue import _question
from centralcloud.ingest.drain import drain
from centralcloud.monitoring.queue_state import queue_state
from centralcloud.monitoring.table_metrics import TableMetricsCollector
from centralcloud.runtime.postgres.database import Database

QUEUE = "pgmq.q_model_routing_decisions"


def test_the_queue_is_described_by_depth_age_size_and_growth(database: Database, database_url: str) -> None:
    empty = queue_state(database, measure_seconds=0.1)
    assert (empty["messages"], empty["oldest_age_seconds"], empty["sent_per_second"]) == (0, None, 0)
    send(database_url, outcomes(10, 0))
    execute(
        database_url,
        f"""
        UPDATE {QUEUE} SET vt = now() + interval '1 hour' WHERE msg_id <= 4;
        UPDATE {QUEUE} SET read_ct = 1 WHERE msg_id = 1;
        UPDATE {QUEUE} SET enqueued_at = now() - interval '1 hour' WHERE msg_id = 2;
        """,
    )
    sender = threading.Timer(0.2, send, (database_url, outcomes(30, 0)))
    sender.start()
    state = queue_state(database, measure_seconds=2)
    sender.join()
    assert (state["messages"], state["visible"], state["in_flight"], state["delayed"]) == (10, 6, 1, 3)
    assert 3600 <= state["oldest_age_seconds"] < 3700
    assert 0 <= state["newest_age_seconds"] < 60
    assert 10 < state["sent_per_second"] <= 15
    assert state["taken_per_second"] == 0
    assert state["bytes_on_disk"] > 8192


def test_messages_that_were_sent_with_a_delay_do_not_wait(database: Database, database_url: str) -> None:
    execute(
        database_url,
        "SELECT pgmq.send('model_routing_decisions', '{}', delay) FROM unnest(ARRAY[7300, 30 * 86400]) AS delay",
    )
    execute(database_url, f"UPDATE {QUEUE} SET enqueued_at = enqueued_at - interval '1 hour'")
    shown = CliRunner().invoke(app, ["queue", "--seconds", "0.1"], env={"DATABASE_URL": database_url})
    assert "2 delayed, visible in 2 hours to 30 days" in " ".join(shown.stdout.split())
    assert queue_state(database, measure_seconds=0)["oldest_waiting_seconds"] is None
    registry = CollectorRegistry()
    TableMetricsCollector(database, interval_seconds=5, registry=registry).run_once()
    assert registry.get_sample_value("centralcloud_queue_delayed") == 2
    assert registry.get_sample_value("centralcloud_queue_oldest_claimable_age_seconds") == 0
    send(database_url, outcomes(1, 0))
    execute(database_url, f"UPDATE {QUEUE} SET vt = now() - interval '1 minute' WHERE vt < now() + interval '3 hours'")
    oldest = queue_state(database, measure_seconds=0)["oldest_waiting_seconds"]
    assert 60 <= oldest < 90, "since the end of the delay, not since the sending"


def test_the_queue_command_prints_the_depth(database_url: str) -> None:
    send(database_url, outcomes(3, 0))
    env = {"DATABASE_URL": database_url}
    shown = run_command("centralcloud", "queue", "--seconds", "0.1", env=env)
    assert shown.returncode == 0, shown.stderr
    assert "3: 3 visible, 0 in flight" in shown.stdout
    document = json.loads(run_command("centralcloud", "queue", "--seconds", "0.1", "--json", env=env).stdout)
    assert document["messages"] == 3


def test_a_purge_removes_old_messages_and_counts_them(database: Database, database_url: str) -> None:
    send(database_url, outcomes(25_000, 0))
    execute(database_url, f"UPDATE {QUEUE} SET enqueued_at = now() - interval '3 hours' WHERE msg_id % 2 = 0")
    env = {"DATABASE_URL": database_url}
    with psycopg.connect(database_url) as consumer:
        consumer.execute(f"SELECT FROM {QUEUE} WHERE msg_id = 2 FOR UPDATE")  # as a consumer does
        purged = run_command("centralcloud", "queue", "purge", "--older-than", "2h", "--yes", "--json", env=env)
    assert json.loads(purged.stdout) == {"purged": 12_499}
    verification = verify(database)
    assert verification.ok
    assert verification.ledger["purged"] == 12_499
    assert verification.ledger["sent"] == 25_000
    drain(database, batch_size=1000)
    verification = verify(database)
    assert verification.ok
    assert verification.ledger["records"] == 12_501


def test_old_messages_are_counted_in_a_bounded_time(database: Database, database_url: str) -> None:
    send(database_url, outcomes(30, 0))
    execute(database_url, f"UPDATE {QUEUE} SET enqueued_at = now() - interval '3 hours' WHERE msg_id <= 20")
    before = datetime.now(UTC) - timedelta(hours=2)
    assert decision_queue.count_old(database, before=before) == (20, True)
    assert decision_queue.count_old(database, before=before, at_most=15) == (15, False)
    assert decision_queue.count_old(database, before=before - timedelta(hours=2)) == (0, True)


@pytest.mark.parametrize(
    ("old", "number"),
    [
        (OldMessages(1, complete=True), "1 message sent before 2026-11-29 11:06:23+00:00, without ingesting it?"),
        (OldMessages(1404, complete=True), "1,404 messages sent before 2026-11-29 11:06:23+00:00, without ingesting them?"),
        (OldMessages(1_000_000, complete=False), "at least 1,000,000 messages sent before 2026-11-29 11:06:23+00:00, "
         "without ingesting them?"),
    ],
)  # fmt: skip
def test_the_question_names_the_number_and_the_time_zone(
    old: OldMessages, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        assert _question(old, datetime(2026, 11, 29, 11, 6, 23, 999, tzinfo=UTC)) == f"Remove {number}"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_purge_of_nothing_asks_nothing(database_url: str) -> None:
    send(database_url, [an_event()])
    arguments = ["queue", "purge", "--older-than", "2h"]
    result = CliRunner().invoke(app, arguments, env={"DATABASE_URL": database_url})
    assert (result.exit_code, result.output) == (0, "purged 0 messages\n")
    assert execute(database_url, f"SELECT count(*) FROM {QUEUE}") == [(1,)]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--older-than", "2h"], "--yes is required"),
        (["--older-than", "999999w", "--yes"], "--older-than: found '999999w', expected a shorter time"),
        (["--older-than", "soon", "--yes"], "--older-than: found 'soon', expected a length of time like 90s"),
        ([], "--older-than"),
    ],
)
def test_a_purge_without_a_valid_age_or_a_confirmation_removes_nothing(
    database_url: str, arguments: list[str], complaint: str
) -> None:
    send(database_url, [an_event()])
    execute(database_url, f"UPDATE {QUEUE} SET enqueued_at = now() - interval '3 hours'")
    result = run_command("centralcloud", "queue", "purge", *arguments, env={"DATABASE_URL": database_url})
    assert result.returncode == 2
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1
    assert execute(database_url, f"SELECT count(*) FROM {QUEUE}") == [(1,)]
