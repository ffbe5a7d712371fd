"""The agent as a whole: what its router reports comes back as its scores."""

import os
from pathlib import Path

import pytest
from support.events import outcomes, send
from support.servers import execute
from support.waiting import eventually

from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.runtime.postgres.database import Database
from instance_agent import AgentSettings, InstanceAgent
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.catalog.state_lock import StateLock


def test_outcomes_change_what_the_router_chooses(agent: InstanceAgent, database: Database, database_url: str) -> None:
    """The closed loop: the router's own decisions and outcomes change its choice."""
    assert agent.router.route("complex").model.name == "bad"
    for name, success in (("bad", False), ("good", True)):
        for _ in range(100):
            decision = agent.router.route("complex", model=name)
            agent.router.report_outcome(decision, success=success, response_time_ms=100)
    eventually(lambda: agent.publisher is not None and agent.publisher.sent == 401, what="sending")
    result = drain(database, batch_size=1000).result
    assert (result.records, result.duplicates, result.dead_letters) == (401, 0, 0)
    Learner(database, [ThresholdRule()]).learn()
    eventually(lambda: agent.router.route("complex").model.name == "good", what="the better choice")
    assert agent.router.route("complex").score_version is not None
    rows = execute(
        database_url,
        "SELECT model_name, usage_count, routed_count, success_count FROM model_routing_metrics ORDER BY 1",
    )
    assert rows == [("bad", 101, 101, 0), ("good", 100, 100, 100)]


def test_scores_are_stored_once_the_process_before_has_ended(
    database: Database, database_url: str, catalog: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A new process often starts before the old one has ended."""
    send(database_url, outcomes(100, 0, selected_model="good"))
    drain(database, batch_size=1000)
    Learner(database, [ThresholdRule()]).learn()
    caplog.set_level("INFO")
    state = tmp_path / "state"
    old = StateLock(state)
    assert old.acquire() is None
    settings = AgentSettings(catalog=catalog, state_dir=state, database_url=database_url)
    acknowledged = "SELECT applied_version FROM instances"
    with InstanceAgent(settings) as agent:
        eventually(lambda: execute(database_url, acknowledged) == [(1,)], what="the scores")
        assert caplog.text.count("state_folder_in_use") == 1
        file = LearnedScoresFile(state)
        assert not file.path.exists()
        old.release()
        agent.updater.wake()
        eventually(file.path.exists, what="the file of the scores")
        assert file.read() == agent.updater.learned
        assert old.acquire() is not None
        assert caplog.text.count("state_folder_taken_over") == 1
    assert old.acquire() is None
    old.release()


@pytest.mark.parametrize("parent_stores", [False, True])
def test_a_child_stores_scores_unless_its_parent_does(
    database_url: str, catalog: Path, tmp_path: Path, parent_stores: bool
) -> None:
    """An agent that was created at import and is started in a worker, as with gunicorn --preload, is the only one."""
    agent = InstanceAgent(AgentSettings(catalog=catalog, state_dir=tmp_path / "state", database_url=database_url))
    if parent_stores:
        assert agent.updater.may_store()
    if (child := os.fork()) == 0:
        stored = False
        try:
            stored = agent.updater._store() and (tmp_path / "state" / "learned_scores.json").exists()
        finally:
            os._exit(int(stored))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == int(not parent_stores)
    agent.stop()


def test_publishing_can_be_switched_off(
    database_url: str, catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EX_LLM_PGMQ_ENABLED", "false")
    settings = AgentSettings(catalog=catalog, state_dir=tmp_path / "state", database_url=database_url)
    with InstanceAgent(settings) as agent:
        agent.router.report_outcome(agent.router.route("simple"), success=True)
        assert agent.publisher is None
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(0,)]
