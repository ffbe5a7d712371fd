"""The programs as a supervisor sees them: signals, outages, replicas, schedules, health."""

import errno
import json
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from support.commands import run_command
from support.events import an_event, outcomes, send
from support.ports import free_port
from support.programs import Program
from support.sabotage import DEADLY
from support.servers import embedded_folder, execute
from support.waiting import eventually, passes

from centralcloud.daemon import Daemon
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.embedded import EmbeddedServer
from centralcloud.settings import Settings
from centralcloud.store.sequences import SequencesBehindError
from instance_agent import AgentSettings, InstanceAgent


def records(url: str) -> int:
    return execute(url, "SELECT count(*) FROM routing_records")[0][0]


def get(port: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_daemon_ingests_learns_and_stops_on_a_signal(start, database_url: str, number: int) -> None:
    daemon = start("centralcloud", "run", DATABASE_URL=database_url, CENTRALCLOUD_LEARN_INTERVAL_SECONDS="0.5")
    daemon.wait_for("started")
    send(database_url, outcomes(100, 0, complexity_score=3.0))
    eventually(lambda: execute(database_url, "SELECT score FROM model_scores"), what="a learned score")
    daemon.process.send_signal(number)
    assert daemon.process.wait(timeout=5) == 0
    assert daemon.events()[-1] == "stopped"


@contextmanager
def a_stuck_daemon(start, database_url: str) -> Iterator[Program]:
    """A daemon whose consumer waits, in the middle of a batch, for a lock that the test holds."""
    with psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE decision_ids IN ACCESS EXCLUSIVE MODE")
        daemon = start("centralcloud", "run", DATABASE_URL=database_url, CENTRALCLOUD_POLL_INTERVAL_SECONDS="0.1")
        daemon.wait_for("started")
        send(database_url, [an_event(decision_id="d")])
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%decision_ids%%'"
        eventually(lambda: execute(database_url, waiting), what="the consumer waiting for the lock")
        yield daemon


def test_a_second_signal_ends_at_once(start, database_url: str) -> None:
    """A batch that waits for a lock delays the stop after the first signal; the second signal does not wait."""
    with a_stuck_daemon(start, database_url) as daemon:
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_for("stopping")

        def signalled_again() -> bool:  # a signal within a tenth of a second counts as the first one
            daemon.process.send_signal(signal.SIGTERM)
            return daemon.process.poll() is not None

        eventually(signalled_again, within_seconds=2)
        assert daemon.process.returncode == 128 + signal.SIGTERM


def test_a_batch_that_does_not_end_is_rolled_back(start, database_url: str) -> None:
    with a_stuck_daemon(start, database_url) as daemon:
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(timeout=5.5) == 0
        assert "shutdown_timeout" in daemon.events()
    result = run_command("centralcloud", "drain", "--json", env={"DATABASE_URL": database_url})
    assert json.loads(result.stdout)["records"] == 1


@pytest.mark.parametrize(("program", "command"), [("centralcloud", "run"), ("instance-agent", "run")])
def test_a_signal_while_the_embedded_server_starts_ends_cleanly(
    start, program: str, command: str, tmp_path: Path
) -> None:
    with embedded_folder() as folder:
        state = {"INSTANCE_AGENT_STATE_DIR": str(tmp_path / "state")}
        process = start(program, command, DATABASE_URL=f"embedded:{folder}", **state)
        process.wait_for("embedded_server_creating")
        process.process.send_signal(signal.SIGTERM)
        assert process.process.wait(timeout=30) == 0
        assert not (folder / "postgresql" / "postmaster.pid").exists()


def test_replicas_do_one_job_each(start, database_url: str) -> None:
    start(
        "centralcloud", "run", "--no-ingest", DATABASE_URL=database_url, CENTRALCLOUD_LEARN_INTERVAL_SECONDS="0.3"
    ).wait_for("started")
    send(database_url, outcomes(100, 0))
    runs = "SELECT count(*) FROM learning_runs"
    eventually(lambda: execute(database_url, runs)[0][0] >= 2, what="two runs of the learner")
    assert records(database_url) == 0
    ingest = start("centralcloud", "run", "--no-learn", DATABASE_URL=database_url)
    assert "learner" not in str(ingest.log())
    eventually(lambda: records(database_url) == 100)
    eventually(lambda: execute(database_url, "SELECT 1 FROM model_scores"))


def test_an_outage_is_waited_for_with_one_line_per_change(start) -> None:
    with embedded_folder() as folder:
        server = EmbeddedServer.start(f"embedded:{folder}")
        url = server.uri
        run_command("centralcloud", "migrate", env={"DATABASE_URL": url})
        server.stop()
        settings = {"CENTRALCLOUD_POLL_INTERVAL_SECONDS": "0.2", "CENTRALCLOUD_LEARN_INTERVAL_SECONDS": "0.3"}
        daemon = start("centralcloud", "run", DATABASE_URL=url, **settings)  # unavailable at the start
        daemon.wait_for("database_unavailable")
        for outage in (1, 2):
            server = EmbeddedServer.start(f"embedded:{folder}")
            daemon.wait_for("database_restored", times=outage)
            send(url, [an_event() for _ in range(10)])
            eventually(lambda: records(url) == 10 * outage, within_seconds=30)  # noqa: B023
            server.stop()
            daemon.wait_for("database_unavailable", times=outage + 1)
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(timeout=5) == 0
        changes = [event for event in daemon.events() if event in ("database_unavailable", "database_restored")]
        assert changes == ["database_unavailable", "database_restored"] * 2 + ["database_unavailable"]


def test_a_daemon_that_waits_for_the_database_at_the_start_is_live_and_not_ready(start) -> None:
    """An orchestrator must neither restart it for an outage nor send it requests."""
    with embedded_folder() as folder:
        port = str(free_port())
        url = f"postgresql:///routing?host={folder}"
        start("centralcloud", "run", DATABASE_URL=url, CENTRALCLOUD_HTTP_PORT=port).wait_for("database_unavailable")
        assert get(port, "/livez") == (200, "ok\n")
        status, text = get(port, "/readyz")
        assert status == 503
        assert text.startswith("starting\nthe database is unavailable: connection ")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            SequencesBehindError("public.a_seq is at 1, public.a at 2"),
            "tasks wait: a sequence is behind its table (public.a_seq is at 1, public.a at 2): "
            "run `centralcloud repair sequences`",
        ),
        (psycopg.errors.UndefinedTable('relation "public.a" does not exist'), "tasks wait: table_missing: relation"),
        (OSError(errno.EMFILE, "Too many open files"), "tasks wait: out_of_file_descriptors: "),
        (psycopg.OperationalError("connection refused"), "the database is unavailable: connection refused"),
    ],
)
def test_readyz_names_the_cause_of_the_wait(error: Exception, line: str) -> None:
    database = Database("postgresql://user@127.0.0.1:1/none", application_name="tests")
    daemon = Daemon(Settings(DATABASE_URL="postgresql://user@127.0.0.1:1/none"), database)
    assert daemon._not_ready() == []
    database.mark_unavailable("consumer-1", error)
    (found,) = daemon._not_ready()
    assert found.startswith(line)


def test_an_agent_keeps_its_scores_while_the_database_is_unavailable(start, tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text("models: [{name: gpt-4o, provider: p, complexity_scores: {complex: 1.0}}]")
    instance = {
        "INSTANCE_ID": "i-1",
        "INSTANCE_AGENT_CATALOG": str(tmp_path / "catalog.yaml"),
        "INSTANCE_AGENT_STATE_DIR": str(tmp_path / "state"),
        "INSTANCE_AGENT_POLL_INTERVAL_SECONDS": "0.2",
    }

    def score() -> float:
        result = run_command("instance-agent", "catalog", "--json", env=instance)
        return json.loads(result.stdout)["models"][0]["complexity_scores"]["complex"]

    with embedded_folder() as folder:
        server = EmbeddedServer.start(f"embedded:{folder}")
        env = {"DATABASE_URL": server.uri}
        run_command("centralcloud", "migrate", env=env)
        agent = start("instance-agent", "run", **env, **instance)
        agent.wait_for("started")
        assert score() == 1.0
        send(env["DATABASE_URL"], outcomes(100, 0, complexity_score=1.0))
        run_command("centralcloud", "drain", env=env)
        run_command("centralcloud", "learn", env=env)
        eventually(lambda: score() == 1.3)
        server.stop()
        agent.wait_for("database_unavailable")
        assert agent.process.poll() is None
        assert score() == 1.3
        server = EmbeddedServer.start(f"embedded:{folder}")
        agent.wait_for("database_restored")
        server.stop()
    agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(timeout=5) == 0


def test_health_and_metrics_over_http(start, database_url: str, tmp_path: Path) -> None:
    port, agent_port = str(free_port()), str(free_port())
    daemon = start("centralcloud", "run", DATABASE_URL=database_url, CENTRALCLOUD_HTTP_PORT=port)
    daemon.wait_for("started")
    assert get(port, "/livez") == (200, "ok\n")
    assert get(port, "/readyz") == (200, "ok\n")
    assert get(port, "/")[0] == 404
    send(database_url, [an_event(), {"no": "event"}])

    def counted() -> bool:
        text = get(port, "/metrics")[1]
        return (
            "centralcloud_events_ingested_total 1.0" in text and "centralcloud_events_dead_lettered_total 1.0" in text
        )

    eventually(counted)
    start(
        "instance-agent", "run", DATABASE_URL=database_url, INSTANCE_AGENT_HTTP_PORT=agent_port,
        INSTANCE_AGENT_STATE_DIR=str(tmp_path / "state"),
    )  # fmt: skip
    eventually(lambda: get(agent_port, "/readyz")[0] == 200)
    assert json.loads(get(agent_port, "/catalog")[1]) == {"version": 0, "models": []}
    assert "instance_agent_applied_version 0.0" in get(agent_port, "/metrics")[1]
    taken = start("centralcloud", "run", DATABASE_URL=database_url, CENTRALCLOUD_HTTP_PORT=port)
    assert taken.process.wait(timeout=20) == 1


def test_a_task_that_blocks_turns_livez_red(start, database_url: str) -> None:
    port = str(free_port())
    start(
        "centralcloud", "run", DATABASE_URL=database_url, CENTRALCLOUD_HTTP_PORT=port, fault="hanging_message",
        CENTRALCLOUD_POLL_INTERVAL_SECONDS="0.1", CENTRALCLOUD_CONSUMERS="1",
    ).wait_for("started")  # fmt: skip
    assert get(port, "/livez") == (200, "ok\n")
    send(database_url, [an_event(instance_id=DEADLY)])
    eventually(lambda: get(port, "/livez")[0] == 503)
    status, text = get(port, "/livez")
    assert status == 503
    assert re.fullmatch(r"consumer-1: last heartbeat \d+ seconds? ago, limit 1\n", text)
    assert get(port, "/readyz")[0] == 200, "the database is available"


@pytest.mark.parametrize("variable", ["CENTRALCLOUD_LEARN_SCHEDULE", "CENTRALCLOUD_MAINTENANCE_SCHEDULE"])
def test_an_invalid_schedule_is_one_line(database_url: str, variable: str) -> None:
    result = run_command("centralcloud", "run", env={"DATABASE_URL": database_url, variable: "every day"})
    assert result.returncode == 2
    assert result.stderr.startswith(f"centralcloud: {variable} is 'every day': expected a crontab schedule in UTC")
    assert result.stderr.count("\n") == 1


def test_a_calendar_schedule_replaces_the_interval(database: Database, database_url: str) -> None:
    settings = Settings(
        database_url=database_url,
        learn_interval_seconds=0.1,
        learn_schedule="30 2 * * *",
        maintenance_schedule="0 3 * * 0",
    )
    daemon = Daemon(settings, database, ingest=False)
    runs = "SELECT count(*) FROM learning_runs"
    daemon.start()
    try:
        jobs = {job.id: job for job in daemon._scheduler.get_jobs()}
        assert set(jobs) == {"learner", "maintenance"}
        assert f"{jobs['learner'].next_run_time:%H:%M}" == "02:30"
        assert f"{jobs['maintenance'].next_run_time:%a %H:%M}" == "Sun 03:00"
        eventually(lambda: execute(database_url, runs) == [(1,)], what="the run at the start")
        assert not passes(lambda: execute(database_url, runs) != [(1,)], within_seconds=0.5)
        jobs["learner"].modify(next_run_time=datetime.now(UTC))
        eventually(lambda: execute(database_url, runs) == [(2,)], what="the scheduled run")
    finally:
        daemon.stop()


def test_an_eager_rule_also_learns_at_its_interval(database: Database, database_url: str) -> None:
    settings = Settings(
        database_url=database_url, rule="adaptive", learn_after_outcomes=1_000_000, learn_interval_seconds=0.2
    )
    daemon = Daemon(settings, database, ingest=False)
    daemon.start()
    try:
        eventually(lambda: execute(database_url, "SELECT count(*) FROM learning_runs")[0][0] >= 3)
    finally:
        daemon.stop()


def test_the_pool_has_as_many_connections_as_the_tasks_use(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """With that many no task waits for another one's connection."""
    settings = Settings(
        database_url=database_url,
        consumers=3,
        poll_interval_seconds=0.01,
        learn_interval_seconds=0.1,
        table_metrics_interval_seconds=0.1,
        maintenance_interval_seconds=1,
    )
    with Database(database_url, application_name="tests", own_connections=0) as database:
        daemon = Daemon(settings, database)
        assert database.max_connections == 3 + 9, (
            "consumers, monitors of schema, history, clock, maintenance, metrics, recorder, learner, experiments, findings"
        )
        with ExitStack() as all_at_once:  # opened beforehand: a wait for a connection is then one for another task's
            for _ in range(database.max_connections):
                all_at_once.enter_context(database.connection())
        daemon.start()
        try:
            send(database_url, outcomes(2000, 100))
            eventually(lambda: records(database_url) == 2100)
            eventually(lambda: execute(database_url, "SELECT count(*) FROM learning_runs")[0][0] >= 5)
            assert database._pool is not None
            statistics = database._pool.get_stats()
        finally:
            daemon.stop()
        assert statistics["pool_max"] == 12
        assert statistics.get("requests_errors", 0) == 0
        assert "database_unavailable" not in caplog.text


def test_each_task_needs_one_connection_at_a_time(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """The sum of the tasks is enough because none holds a connection while it asks for another."""
    with Database(database_url, application_name="tests", max_connections=1) as database:
        daemon = Daemon(Settings(database_url=database_url, poll_interval_seconds=0.1), database)
        send(database_url, [*outcomes(200, 10), {"no": "event"}])
        daemon.start()
        try:
            eventually(lambda: records(database_url) == 210)
            eventually(lambda: execute(database_url, "SELECT count(*) FROM learning_runs")[0][0] >= 1)
        finally:
            daemon.stop()
    assert "no free connection" not in caplog.text


def test_an_agent_reserves_the_connections_of_its_tasks(database_url: str, tmp_path: Path) -> None:
    settings = AgentSettings(database_url=database_url, state_dir=tmp_path)
    for routes, connections in ((True, 2), (False, 1)):
        with InstanceAgent(settings, routes=routes) as agent:
            assert agent.updater.database.max_connections == connections
            eventually(lambda: agent.updater.learned.epoch is not None)


def test_a_task_that_fails_stops_the_program_loudly(start, database_url: str) -> None:
    daemon = start("centralcloud", "run", DATABASE_URL=database_url, CENTRALCLOUD_POLL_INTERVAL_SECONDS="0.1")
    daemon.wait_for("started")
    # A missing table is waited for; with another form of one no wait helps.
    execute(database_url, "ALTER TABLE model_routing_metrics RENAME COLUMN success_count TO other_count")
    send(database_url, [an_event()])
    assert daemon.process.wait(timeout=20) == 1
    assert "background_task_failed" in daemon.events()
    last = daemon.output().splitlines()[-1]
    assert re.match(r"centralcloud: stopped because the background task [\w-]+ failed: UndefinedColumn: column ", last)
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(1,)], "nothing is lost"


def test_the_password_is_in_no_log(start, server: str, database_url: str) -> None:
    role = "cc_with_a_password"
    execute(database_url, f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 's3cret-word'")
    try:
        url = psycopg.conninfo.make_conninfo(database_url, user=role, password="s3cret-word")
        daemon = start("centralcloud", "run", DATABASE_URL=url, CENTRALCLOUD_LOG_LEVEL="debug")
        daemon.wait_for("started")
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.wait(timeout=5)
        assert "s3cret-word" not in json.dumps(daemon.log())
    finally:
        execute(database_url, f"DROP OWNED BY {role}")
        execute(database_url, f"DROP ROLE {role}")


@pytest.mark.parametrize("program", ["centralcloud", "instance-agent"])
def test_no_log_holds_the_password(program: str, tmp_path: Path) -> None:
    """Neither during an outage nor with every event logged."""
    env = {
        "DATABASE_URL": "postgresql://u:s3cret@127.0.0.1:1/db?application_name=x",
        "INSTANCE_AGENT_STATE_DIR": str(tmp_path / "state"),
        "CENTRALCLOUD_LOG_LEVEL": "debug",
        "INSTANCE_AGENT_LOG_LEVEL": "debug",
    }
    running = Program(program, "run", log=tmp_path / "log", env=env)
    running.wait_for("database_unavailable")
    running.end()
    result = run_command(program, "doctor", env=env)
    assert "FAIL  database" in result.stdout
    assert "s3cret" not in (tmp_path / "log").read_text() + result.stdout + result.stderr
