"""The catalog of a running agent follows its YAML: at the poll interval, and at once on SIGHUP."""

import signal
from collections.abc import Callable
from pathlib import Path

from support.programs import Program
from support.waiting import eventually

from instance_agent import AgentSettings, InstanceAgent
from instance_agent.doctor import examine


def test_sighup_reads_the_catalog_again_and_a_broken_edit_keeps_the_old_one(
    start: Callable[..., Program], database_url: str, catalog: Path, tmp_path: Path
) -> None:
    agent = start(
        "instance-agent",
        "run",
        DATABASE_URL=database_url,
        INSTANCE_ID="i-1",
        INSTANCE_AGENT_CATALOG=str(catalog),
        INSTANCE_AGENT_STATE_DIR=str(tmp_path / "state"),
        INSTANCE_AGENT_POLL_INTERVAL_SECONDS="3600",
        INSTANCE_AGENT_HTTP_PORT="0",
    )
    agent.wait_for("started")
    content = catalog.read_text()
    catalog.write_text(content.replace("name: bad", "name: new"))
    agent.process.send_signal(signal.SIGHUP)
    agent.wait_for("catalog_reloaded")
    catalog.write_text("models: [")
    agent.process.send_signal(signal.SIGHUP)
    agent.wait_for("catalog_invalid")
    (reason,) = [line["reason"] for line in agent.log() if line["event"] == "catalog_invalid"]
    assert reason.startswith(f"{catalog}:2:1: expected YAML")
    agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(timeout=20) == 0


def test_an_edit_is_used_at_the_poll_interval_and_shown_while_it_is_invalid(
    database_url: str, catalog: Path, tmp_path: Path
) -> None:
    settings = AgentSettings(
        database_url=database_url, catalog=catalog, state_dir=tmp_path / "state", poll_interval_seconds=0.1
    )
    with InstanceAgent(settings) as agent:
        registry = agent._registry()
        assert agent.router.route("simple").model.name == "bad"
        content = catalog.read_text()
        catalog.write_text(content.replace("simple: 2.0", "simple: 5.0"))
        eventually(lambda: agent.router.route("simple").model.name == "good", what="the edit")
        catalog.write_text("models: {}")
        eventually(lambda: registry.get_sample_value("instance_agent_catalog_invalid") == 1, what="the metric")
        assert agent.router.route("simple").model.name == "good"
        results = {result.check: result for result in examine(settings, agent.updater.database)}
        assert results["catalog"].verdict == "FAIL"
        assert results["spool"].verdict == "OK"
        catalog.write_text(content)
        eventually(lambda: agent.router.route("simple").model.name == "bad", what="the repaired file")
        assert registry.get_sample_value("instance_agent_catalog_invalid") == 0
