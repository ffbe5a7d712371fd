"""A daemon on a logical copy, whose sequences begin at 1."""

import json
from collections.abc import Callable

from support.commands import run_command
from support.events import an_event, outcomes, send
from support.load import records
from support.programs import Program
from support.servers import execute
from support.waiting import eventually

from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
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


def score(database_url: str) -> float:
    ((value,),) = execute(database_url, "SELECT score::float8 FROM model_scores")
    return float(value)
