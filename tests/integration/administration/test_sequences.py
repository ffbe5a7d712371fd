"""Sequences behind their tables, as a logical copy leaves them: named, waited for, and raised by one command."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from support.commands import run_command
from support.events import an_event, outcomes, send
from support.history import create_week
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration.decision_queue import purge
from centralcloud.administration.sequence_repair import find_sequences_behind, repair_sequences
from centralcloud.administration.verification import verify
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.maintenance.maintenance import Maintenance
from centralcloud.monitoring.doctor import Expectations, examine
from centralcloud.monitoring.finding_detector import FindingDetector
from centralcloud.monitoring.task_health import TaskHealthReporter, read_degraded_tasks
from centralcloud.runtime.diagnostics import Verdict
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process.background import Degradation
from centralcloud.store.queue import read_queue_counters
from centralcloud.store.sequences import SequencesBehindError

_ALL = """
    SELECT setval(format('%I.%I', n.nspname, c.relname)::regclass, 1)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S' AND n.nspname IN ('public', 'pgmq')
"""


@pytest.fixture
def copied(database: Database, database_url: str) -> Database:
    """Fill a database, and set every sequence to 1, as replication of its tables would leave it."""
    send(database_url, [*outcomes(200, 100), {"no": "event"}, {"no": "event"}])
    drain(database, batch_size=100)
    learner = Learner(database, [ThresholdRule()])
    learner.learn()
    learner.learn()
    with database.transaction() as connection:
        connection.execute("INSERT INTO findings (kind, subject, message) VALUES ('a', 'b', 'c'), ('a', 'd', 'e')")
    execute(database_url, _ALL)
    return database


def score(database_url: str) -> float:
    ((value,),) = execute(database_url, "SELECT score::float8 FROM model_scores")
    return float(value)


def test_the_doctor_names_each_sequence_its_value_and_that_of_the_table(copied: Database) -> None:
    (check,) = [each for each in examine(copied, Expectations()) if each.check == "sequences"]
    assert check.verdict == Verdict.FAIL
    for named in (
        "public.routing_records_id_seq is at 1, public.routing_records at 300",
        "pgmq.q_model_routing_decisions_msg_id_seq is at 1, pgmq.q_model_routing_decisions at 302",
        "public.learning_runs_run_id_seq is at 1, public.learning_runs at 2",
        "public.dead_letters_id_seq is at 1, public.dead_letters at 2",
        "public.findings_finding_id_seq is at 1, public.findings at 2",
    ):
        assert named in check.found
    assert "centralcloud repair sequences" in check.advice


def test_nothing_is_ingested_or_learned_until_the_repair_and_nothing_is_lost(
    copied: Database, database_url: str
) -> None:
    before = score(database_url)
    execute(database_url, "SELECT setval('pgmq.q_model_routing_decisions_msg_id_seq', 302)")
    send(database_url, outcomes(0, 750))
    with pytest.raises(SequencesBehindError, match=r"routing_records_id_seq is at 1, public\.routing_records at 300"):
        drain(copied, batch_size=100)
    with pytest.raises(SequencesBehindError, match="learning_runs_run_id_seq is at 1"):
        Learner(copied, [ThresholdRule()]).learn()
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions WHERE read_ct = 0") == [(750,)]
    repaired = repair_sequences(copied, OPERATOR)
    assert "public.routing_records" in {each.table for each in repaired}
    assert find_sequences_behind(copied) == []
    drain(copied, batch_size=100)
    Learner(copied, [ThresholdRule()]).learn()
    assert score(database_url) < before
    assert verify(copied).differences == []


@pytest.mark.parametrize("table", ["dead_letters", "model_routing_metrics", "ingest_workers"])
def test_a_number_that_is_in_use_makes_no_message_a_dead_letter(
    database: Database, database_url: str, table: str
) -> None:
    send(database_url, [an_event(), {"no": "event"}])
    drain(database, batch_size=100)
    execute(database_url, "INSERT INTO ingest_workers (host, process, batch_size) VALUES ('h', 'p', 0)")
    column = "worker_id" if table == "ingest_workers" else "id"
    execute(database_url, f"UPDATE {table} SET {column} = 1")
    execute(database_url, f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), 1, false)")
    send(database_url, [an_event(selected_model="new"), {"no": "event"}])
    with pytest.raises(SequencesBehindError, match=rf"a number that public\.{table} has"):
        drain(database, batch_size=100)
    repair_sequences(database, OPERATOR)
    drain(database, batch_size=100)
    verification = verify(database)
    assert verification.differences == []
    assert (verification.ledger["records"], verification.ledger["dead_letters_open"]) == (2, 2)


def test_the_table_says_what_was_sent_and_what_can_be_purged(copied: Database, database_url: str) -> None:
    execute(database_url, "SELECT setval('pgmq.q_model_routing_decisions_msg_id_seq', 302)")
    send(database_url, [an_event()])
    execute(database_url, "SELECT setval('pgmq.q_model_routing_decisions_msg_id_seq', 1)")
    with copied.transaction() as connection:
        assert read_queue_counters(connection).sent == 303
        (now,) = connection.execute("SELECT clock_timestamp()").fetchone()  # type: ignore[misc]
    assert purge(copied, OPERATOR, before=now) == 1


def test_the_command_asks_and_writes_an_action(copied: Database, database_url: str) -> None:
    env = {"DATABASE_URL": database_url}
    refused = run_command("centralcloud", "repair", "sequences", env=env)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "--yes is required" in refused.stderr
    done = run_command("centralcloud", "repair", "sequences", "--yes", "--json", "--reason", "moved", env=env)
    assert done.returncode == 0, done.stderr
    raised = {each["sequence"]: (each["last_value"], each["newest"]) for each in json.loads(done.stdout)["sequences"]}
    assert raised["public.routing_records_id_seq"] == (1, 300)
    ((action, reason, before),) = execute(
        database_url, "SELECT action, reason, before FROM operator_actions ORDER BY id DESC LIMIT 1"
    )
    assert (action, reason, before["public.routing_records_id_seq"]) == ("repair_sequences", "moved", 1)
    assert find_sequences_behind(copied) == []


def test_findings_that_say_why_a_task_fails_are_stored_while_their_sequence_is_behind(copied: Database) -> None:
    """Several tasks at once, and each of them again."""
    tasks = [FindingDetector(copied), Maintenance(copied), Learner(copied, [ThresholdRule()])]
    reporter = TaskHealthReporter(copied)
    for number in range(2):
        for task in tasks:
            task.degradation = Degradation(f"reason {number}", time.monotonic(), 1)
        threads = [threading.Thread(target=reporter.report, args=(task,)) for task in tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with copied.transaction() as connection:
            found = read_degraded_tasks(connection)
        assert sorted((each.task, each.reason) for each in found) == sorted(
            (each.name, f"reason {number}") for each in tasks
        )
    repair_sequences(copied, OPERATOR)
    assert find_sequences_behind(copied) == []
    for task in tasks:
        task.degradation = None
        reporter.report(task)
    with copied.transaction() as connection:
        assert read_degraded_tasks(connection) == []


def test_events_ahead_of_the_clock_are_ingested_while_the_sequence_of_the_findings_is_behind(
    copied: Database, database_url: str
) -> None:
    execute(database_url, "SELECT setval('routing_records_id_seq', 1000)")
    create_week(database_url, timedelta(hours=2))
    execute(database_url, "UPDATE routing_records SET created_at = created_at - interval '2 hours'")
    ahead = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    send(database_url, [{**an_event(selected_model="gpt-4o", outcome="success"), "timestamp": ahead}])
    assert drain(copied, batch_size=10).result.records == 1
    assert execute(database_url, "SELECT subject FROM findings WHERE kind = 'server_clock_behind'") == [("server",)]


def test_ids_that_a_repair_of_the_queues_sequence_skips_are_not_reported_as_missing(
    database: Database, database_url: str
) -> None:
    env = {"DATABASE_URL": database_url}
    send(database_url, outcomes(600, 0))
    drain(database, batch_size=1000)
    execute(database_url, "SELECT setval('pgmq.q_model_routing_decisions_msg_id_seq', 100)")
    send(database_url, outcomes(500, 0, selected_model="another"))  # gets ids that were in use
    drain(database, batch_size=1000)
    wrong = run_command("centralcloud", "verify", env=env)
    assert wrong.returncode == 1
    assert "run `centralcloud repair sequences`" in wrong.stdout
    repaired = run_command("centralcloud", "repair", "sequences", "--yes", "--json", env=env)
    (sequence,) = json.loads(repaired.stdout)["sequences"]
    assert (sequence["last_value"], sequence["newest"]) == (600, 1100)
    verification = verify(database)
    assert (verification.differences, verification.unaccounted.number) == ([], 0)
    send(database_url, outcomes(100, 0))
    drain(database, batch_size=1000)
    assert verify(database).unaccounted.number == 0
    execute(database_url, "SELECT pgmq.send('model_routing_decisions', '{}') FROM generate_series(1, 50)")
    execute(database_url, "DELETE FROM pgmq.q_model_routing_decisions")
    lost = verify(database).unaccounted
    assert (lost.number, lost.span) == (50, (1201, 1250)), "and what others remove is still found"
