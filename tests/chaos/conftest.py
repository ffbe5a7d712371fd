"""Fixtures of the scenarios. docs/explanation/reliability.md lists the promises that they prove, by the same names."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.commands import run_command
from support.programs import Program
from support.servers import OwnServer, embedded_folder

#: Quick loops and small batches: many transactions for a fault to hit.
QUICK = {
    "CENTRALCLOUD_POLL_INTERVAL_SECONDS": "0.1",
    "CENTRALCLOUD_LEARN_INTERVAL_SECONDS": "0.3",
    "CENTRALCLOUD_BATCH_SIZE": "100",
}


@pytest.fixture
def start_worker(start: Callable[..., Program]) -> Callable[..., Program]:
    """Start `centralcloud run` on a database, and wait until it is running."""

    def start_one(url: str, *arguments: str, fault: str | None = None, **env: str) -> Program:
        worker = start("centralcloud", "run", *arguments, fault=fault, DATABASE_URL=url, **(QUICK | env))
        worker.wait_for("started")
        return worker

    return start_one


@pytest.fixture
def start_agent(start: Callable[..., Program], tmp_path: Path) -> Callable[..., Program]:
    """Start `instance-agent run` on a database, and wait until it is running."""

    def start_one(url: str) -> Program:
        agent = start(
            "instance-agent",
            "run",
            DATABASE_URL=url,
            INSTANCE_ID="i",
            INSTANCE_AGENT_STATE_DIR=str(tmp_path / "state"),
            INSTANCE_AGENT_POLL_INTERVAL_SECONDS="0.1",
        )
        agent.wait_for("started")
        return agent

    return start_one


@pytest.fixture
def own_server() -> Iterator[OwnServer]:
    """A server that a test crashes and starts again: its files are on disk, and it waits for them."""
    with embedded_folder(on_disk=True) as folder:
        server = OwnServer(str(folder))
        assert run_command("centralcloud", "migrate", env={"DATABASE_URL": server.url}).returncode == 0
        try:
            yield server
        finally:
            server.stop()
