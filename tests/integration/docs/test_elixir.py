"""Compile the instance of examples/elixir and run it against PostgreSQL, with a stand-in for Postgrex."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from support.events import outcomes, send
from support.repository import REPOSITORY
from support.servers import execute
from support.waiting import eventually

from centralcloud.contracts import UPDATES_CHANNEL
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.runtime.postgres.database import Database

_SUPPORT = REPOSITORY / "tests/support/elixir"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the compiled example and stand-in."""
    if shutil.which("elixirc") is None:
        pytest.skip("no Elixir here; Debian's package is elixir")
    folder = tmp_path_factory.mktemp("elixir")
    sources = [_SUPPORT / "postgrex.ex", REPOSITORY / "examples/elixir/central_cloud.ex"]
    command = ["elixirc", "--warnings-as-errors", "-o", folder, *sources]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


class ElixirInstance:
    """A running instance: it reads commands from its standard input and prints its scores."""

    def __init__(self, compiled: Path, url: str, folder: Path, *, poll_ms: int, socket_dir: Path | None = None) -> None:
        named = conninfo_to_dict(url)
        if not str(named["host"]).startswith("/"):
            pytest.skip("the stand-in for Postgrex speaks over unix sockets only")
        self._log = folder / "elixir.log"
        arguments = [socket_dir or named["host"], named["dbname"], "elixir-1", folder / "state", poll_ms]
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                ["elixir", "-pa", compiled, _SUPPORT / "instance.exs", *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def order(self, *lines: str) -> None:
        assert self.process.stdin
        self.process.stdin.write("".join(f"{line}\n" for line in lines))
        self.process.stdin.flush()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def scores(self) -> str:
        """Return the newest scores that it has printed."""
        return [line for line in self.log.splitlines() if line.startswith("scores")][-1].removeprefix("scores").strip()

    def wait_for_scores(self, scores: str) -> None:
        eventually(lambda: self.scores() == scores, what=f"{scores!r} in {self._log}", within_seconds=30)

    def kill(self) -> None:
        assert self.process.stdin
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()

    def stop(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        assert self.process.wait(timeout=30) == 0, self.log


@pytest.fixture
def instance(compiled: Path, database_url: str, tmp_path: Path) -> Iterator[ElixirInstance]:
    """An instance that polls so rarely that only notifications bring scores during a test."""
    running = ElixirInstance(compiled, database_url, tmp_path, poll_ms=600_000)
    yield running
    running.kill()


def learn(database: Database, url: str, **decision: object) -> None:
    send(url, outcomes(100, 0, complexity_score=2.0, **decision))
    drain(database, batch_size=1000)
    Learner(database, [ThresholdRule()]).learn()


def send_manually(url: str, **message: object) -> None:
    execute(url, "SELECT pgmq.send('model_score_updates', %s::jsonb)", (json.dumps(message),))
    execute(url, f"NOTIFY {UPDATES_CHANNEL}")


def acknowledged(url: str) -> list[tuple]:
    return execute(url, "SELECT instance_id, applied_version FROM instances")


def test_scores_arrive_by_notification_and_survive_a_restart(
    instance: ElixirInstance, compiled: Path, database: Database, database_url: str, tmp_path: Path
) -> None:
    eventually(lambda: acknowledged(database_url) == [("elixir-1", 0)], what="the first poll")
    learn(database, database_url)
    instance.wait_for_scores("gpt-4o/complex=2.3")
    send_manually(database_url, model="gpt-4o", complexity="complex", new_score=4.5)
    instance.wait_for_scores("gpt-4o/complex=4.5")
    for wrong in ({"new_score": 9}, {"new_score": "4.9"}, {"complexity": "huge"}, {"version": 1.5}):
        send_manually(database_url, **{"model": "gpt-4o", "complexity": "complex", "new_score": 1, **wrong})
    learn(database, database_url, selected_model="llama")
    instance.wait_for_scores("gpt-4o/complex=4.5 llama/complex=2.3")
    assert instance.log.count("is refused") == 4
    learn(database, database_url)  # a newer version replaces the manual score
    instance.wait_for_scores("gpt-4o/complex=2.6 llama/complex=2.3")
    eventually(lambda: acknowledged(database_url) == [("elixir-1", 3)], what="the acknowledgement")
    instance.kill()

    (tmp_path / "elixir.log").unlink()
    offline = ElixirInstance(compiled, database_url, tmp_path, poll_ms=600_000, socket_dir=tmp_path)
    try:
        eventually(lambda: "routing by the last scores" in offline.log, what="the outage")
        assert offline.scores() == "gpt-4o/complex=2.6 llama/complex=2.3", "from the file"
    finally:
        offline.stop()


def test_a_new_epoch_is_noticed(instance: ElixirInstance, database: Database, database_url: str) -> None:
    learn(database, database_url)
    learn(database, database_url, selected_model="llama")
    instance.wait_for_scores("gpt-4o/complex=2.3 llama/complex=2.3")
    execute(database_url, "DELETE FROM model_scores WHERE model_name = 'llama'")  # versions went back
    execute(database_url, f"NOTIFY {UPDATES_CHANNEL}")
    instance.wait_for_scores("gpt-4o/complex=2.3")
    execute(database_url, "DELETE FROM model_scores")
    execute(database_url, "UPDATE database_generation SET generation = gen_random_uuid()")
    execute(database_url, f"NOTIFY {UPDATES_CHANNEL}")
    instance.wait_for_scores("")


def test_decisions_and_outcomes_are_counted_once(
    instance: ElixirInstance, database: Database, database_url: str
) -> None:
    """Also with an event that PostgreSQL rejects, and while connections break."""
    instance.order(*["gpt-4o success 840"] * 300, "NUL success", *["gpt-4o failure"] * 300)
    queued = "SELECT count(*) FROM pgmq.q_model_routing_decisions"
    eventually(lambda: execute(database_url, queued) == [(1200,)], what="the events")
    assert instance.log.count("is dropped") == 1, "only every thousandth dropped event is logged"
    execute(
        database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = ''",
    )
    instance.order(*["gpt-4o success"] * 5)
    instance.stop()
    assert "stopped" in instance.log
    assert drain(database, batch_size=1000).result == (1210, 0, 0)
    counts = "SELECT usage_count, success_count, failure_count, avg_response_time FROM model_routing_metrics"
    assert execute(database_url, counts) == [(605, 305, 300, 840)]


def test_notifications_arrive_again_after_the_connection_broke(
    instance: ElixirInstance, database: Database, database_url: str
) -> None:
    eventually(lambda: acknowledged(database_url) == [("elixir-1", 0)], what="the first poll")
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query ~ '^LISTEN'"
    assert eventually(lambda: execute(database_url, ended), what="the listener") == [(True,)]
    listening = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query ~ '^LISTEN'"
    eventually(lambda: execute(database_url, listening), what="the new listener")
    learn(database, database_url)
    instance.wait_for_scores("gpt-4o/complex=2.3")


def test_confirmed_events_are_sent_again_in_a_new_epoch(instance: ElixirInstance, database_url: str) -> None:
    """As after a failover to a standby that lacks them; also when nothing new is to be sent."""
    ids = "SELECT count(DISTINCT message #>> '{routing_decision,decision_id}'), count(*) FROM pgmq.q_model_routing_decisions"
    instance.order(*["gpt-4o success"] * 5)
    eventually(lambda: execute(database_url, ids) == [(5, 10)], what="the events")
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM pgmq.q_model_routing_decisions WHERE msg_id > 4")
        connection.execute("UPDATE database_generation SET generation = gen_random_uuid()")
    eventually(lambda: execute(database_url, ids) == [(5, 14)], what="the resend")
    assert "sending 10 events again" in instance.log
