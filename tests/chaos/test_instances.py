"""Instances that are killed while they write the scores that they received."""

import json
from pathlib import Path

import pytest
from support.commands import run_command
from support.events import outcomes, send
from support.servers import execute
from support.waiting import eventually

from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.runtime.postgres.database import Database


@pytest.mark.parametrize("fault", ["half_written_file", "unmoved_file"])
def test_an_instance_killed_while_writing_its_learned_scores(
    start, database: Database, database_url: str, tmp_path: Path, fault: str
) -> None:
    """The file contains the old scores or the new ones, never a mixture; the next start continues from there."""
    (tmp_path / "catalog.yaml").write_text("models: [{name: gpt-4o, provider: p, complexity_scores: {complex: 1.0}}]")
    instance = {
        "DATABASE_URL": database_url,
        "INSTANCE_ID": "i-1",
        "INSTANCE_AGENT_CATALOG": str(tmp_path / "catalog.yaml"),
        "INSTANCE_AGENT_STATE_DIR": str(tmp_path / "state"),
        "INSTANCE_AGENT_POLL_INTERVAL_SECONDS": "0.1",
    }

    def score() -> float:
        result = run_command("instance-agent", "catalog", "--json", env=instance)
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        return float(json.loads(result.stdout)["models"][0]["complexity_scores"]["complex"])

    def learn(successes: int) -> None:
        send(database_url, outcomes(successes, 0, complexity_score=1.0))
        drain(database, batch_size=1000)
        Learner(database, [ThresholdRule()]).learn()

    victim = start("instance-agent", "run", fault=fault, **instance)
    victim.wait_for("started")
    learn(100)
    assert victim.process.wait(timeout=10) == -9
    assert score() == 1.0
    assert execute(database_url, "SELECT applied_version FROM instances") == [(0,)], "nothing acknowledged in vain"
    start("instance-agent", "run", **instance)
    eventually(lambda: score() == 1.3, within_seconds=10)
    eventually(lambda: execute(database_url, "SELECT applied_version FROM instances") == [(1,)])
