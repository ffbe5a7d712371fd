"""Sequences that begin at 1 in a logical copy, and sequences with numbers that 32 bits do not hold."""

import json
from collections.abc import Callable

import psycopg
from support.commands import run_command
from support.events import an_event, outcomes, send
from support.load import has_newest_scores, queued, records
from support.programs import Program
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.verification import verify
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.monitoring.doctor import Expectations, examine
from centralcloud.runtime.diagnostics import Verdict
from centralcloud.runtime.postgres.database import Database


def test_sequences_behind_their_tables_stop_no_daemon(
    start_worker: Callable[..., Program], database: Database, database_url: str
) -> None:
    send(database_url, outcomes(200, 100))
    drain(database, batch_size=100)
    learner = Learner(database, [ThresholdRule()])
    learner.learn()
    learner.learn()
    before = score(database_url)
    execute(
        database_url,
        """
        SELECT setval(format('%I.%I', n.nspname, c.relname)::regclass, 1)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'S' AND n.nspname IN ('public', 'pgmq')
        """,
    )
    send(database_url, [an_event(outcome="failure", decision_id=str(number)) for number in range(750)])
    env = {"DATABASE_URL": database_url}
    worker = start_worker(database_url, CENTRALCLOUD_RULE="threshold")
    worker.wait_for("sequences_behind")
    worker.wait_for("database_unavailable")
    doctor = run_command("centralcloud", "doctor", "--json", env=env)
    (check,) = [each for each in json.loads(doctor.stdout)["checks"] if each["check"] == "sequences"]
    assert (doctor.returncode, check["verdict"]) == (1, "FAIL")
    assert "public.learning_runs_run_id_seq is at" in check["found"]
    assert run_command("centralcloud", "repair", "sequences", "--yes", env=env).returncode == 0
    eventually(lambda: records(database_url) == 1050, what="the events that waited")
    eventually(lambda: score(database_url) < before, what="a score of the new outcomes")
    assert worker.process.poll() is None
    assert "background_task_failed" not in worker.events()
    verified = run_command("centralcloud", "verify", env=env)
    assert verified.returncode == 0, verified.stdout


def test_sequences_beyond_2_to_the_31(
    start_worker: Callable[..., Program], start_agent: Callable[..., Program], database: Database, database_url: str
) -> None:
    """As in a fleet that has sent three billion events, and closed as many slices."""
    many = 3_000_000_000
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """
            SELECT setval(format('%%I.%%I', n.nspname, c.relname)::regclass, %s)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'S' AND n.nspname IN ('public', 'pgmq')
            """,
            (many,),
        )
        connection.execute("UPDATE evidence_slices SET slice_no = slice_no + %s, after_record_id = %s", (many, many))
        connection.execute("UPDATE accounting SET purged = %s, ids_tracked_after = %s, verified_ids = %s", (many,) * 3)
    worker, agent = start_worker(database_url, CENTRALCLOUD_RULE="threshold"), start_agent(database_url)
    events = [an_event(outcome="success", decision_id=str(number)) for number in range(600)]
    send(database_url, [*events, *events[:100], an_event(complexity="none")])
    eventually(lambda: execute(database_url, "SELECT min(version) FROM model_scores")[0][0] > many, what="a score")
    eventually(lambda: queued(database_url) == 0 and has_newest_scores(database_url), what="the score at the instance")
    verification = verify(database)
    assert verification.ok
    assert (verification.ledger["records"], verification.ledger["duplicates"]) == (600, 100)
    for table, column in {
        "routing_records": "id",
        "dead_letters": "id",
        "model_routing_metrics": "id",
        "model_routing_metrics ": "last_reported_msg_id",
        "evidence_slices": "slice_no",
        "learning_runs": "run_id",
        "ingest_workers": "worker_id",
        "rule_scores": "through_slice",
        "message_ids": "upper(handled) - 1",
    }.items():
        ((newest,),) = execute(database_url, f"SELECT max({column}) FROM {table}")
        assert newest > many, f"{table}.{column}"
    failed = [check for check in examine(database, Expectations()) if check.verdict == Verdict.FAIL]
    assert failed == []
    assert [worker.process.poll(), agent.process.poll()] == [None, None]


def score(database_url: str) -> float:
    ((value,),) = execute(database_url, "SELECT score::float8 FROM model_scores")
    return float(value)
