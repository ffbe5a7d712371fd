"""The agent as a whole: what its router reports comes back as its scores."""

from pathlib import Path

import pytest
from support.servers import execute
from support.waiting import eventually

from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.runtime.postgres.database import Database
from instance_agent import AgentSettings, InstanceAgent


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


def test_publishing_can_be_switched_off(
    database_url: str, catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EX_LLM_PGMQ_ENABLED", "false")
    settings = AgentSettings(catalog=catalog, state_dir=tmp_path / "state", database_url=database_url)
    with InstanceAgent(settings) as agent:
        agent.router.report_outcome(agent.router.route("simple"), success=True)
        assert agent.publisher is None
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(0,)]
