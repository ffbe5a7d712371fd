"""The end of an agent whose database is unavailable: the log says what was lost, what was kept, and why."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.commands import environment

from instance_agent.agent import InstanceAgent
from instance_agent.settings import AgentSettings
from instance_agent.sync.spool import Spool

#: Nothing listens there.
NOWHERE = "postgresql://user@127.0.0.1:1/none"


def settings(tmp_path: Path, **more: Any) -> AgentSettings:
    """Settings of an agent with one model, with its files in `tmp_path`."""
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text("models: [{name: m, provider: p, complexity_scores: {simple: 2}}]")
    return AgentSettings(database_url=NOWHERE, instance_id="i", catalog=catalog, state_dir=tmp_path / "state", **more)


def decide(agent: InstanceAgent, count: int) -> None:
    """Publish `count` decisions, each with an outcome."""
    for _ in range(count):
        agent.router.report_outcome(agent.router.route("simple"), success=True, response_time_ms=1)


def logged(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    """Return the events of one name that were logged."""
    return [record.msg for record in caplog.records if isinstance(record.msg, dict) and record.msg["event"] == name]


@pytest.mark.parametrize("removes_folder", [False, True])
def test_what_counts_as_left_in_the_spool_is_there(
    removes_folder: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    agent = InstanceAgent(settings(tmp_path, spool_dir=tmp_path / "spool"))
    agent.start()
    assert agent.publisher is not None
    decide(agent, 25)
    agent.publisher.keep_in_spool()
    if removes_folder:
        shutil.rmtree(tmp_path / "spool")
    else:
        for path in (tmp_path / "spool/i").iterdir():
            path.unlink()
    decide(agent, 100)
    agent.stop(within_seconds=0)
    (left,) = logged(caplog, "events_left_in_spool")
    assert (left["count"], agent.publisher.dropped) == (250, 0)
    assert len(logged(caplog, "spool_file_missing")) == 1
    reader = Spool(tmp_path / "spool/i")
    assert len(reader.next_left(1000, 10_000_000)) == 250
    reader.close()


def test_events_after_the_stop_are_lost_because_of_it(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from instance_agent import AgentSettings, InstanceAgent\n"
        "with InstanceAgent(AgentSettings()) as agent:\n"
        "    pass\n"
        "for _ in range(1000):\n"
        "    agent.router.report_outcome(agent.router.route('simple'), True, 10)\n"
        "print('dropped', agent.publisher.dropped)\n"
    )
    values = settings(tmp_path)
    env = environment(
        DATABASE_URL=NOWHERE,
        INSTANCE_AGENT_CATALOG=str(values.catalog),
        INSTANCE_AGENT_STATE_DIR=str(values.state_dir),
    )
    ended = subprocess.run([sys.executable, str(program)], env=env, capture_output=True, text=True, check=True)
    assert "dropped 2000" in ended.stdout
    lines = [line for line in (ended.stdout + ended.stderr).splitlines() if "events_dropped" in line]
    assert sum(int(line.split("count=")[1].split()[0]) for line in lines) == 2000
    assert all("the agent was stopped" in line for line in lines)
    assert "events_not_sent" not in ended.stderr
