"""An agent with a catalog of two models, against the database of the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.distribution import NewUpdater

from centralcloud.runtime.postgres.database import Database
from instance_agent import AgentSettings, InstanceAgent
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.sync.score_updater import ScoreUpdater

_CATALOG = """
models:
  - {name: good, provider: p, complexity_scores: {simple: 2.0, medium: 2.0, complex: 2.0}}
  - {name: bad, provider: p, complexity_scores: {simple: 2.1, medium: 2.1, complex: 2.1}}
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """The file of the catalog. By its scores, `bad` is the better model."""
    file = tmp_path / "catalog.yaml"
    file.write_text(_CATALOG)
    return file


@pytest.fixture
def agent(database_url: str, catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InstanceAgent]:
    """A running agent, with its settings from the environment and its state in `tmp_path / "state"`."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("INSTANCE_ID", "i-1")
    monkeypatch.setenv("INSTANCE_AGENT_CATALOG", str(catalog))
    monkeypatch.setenv("INSTANCE_AGENT_STATE_DIR", str(tmp_path / "state"))
    with InstanceAgent(AgentSettings()) as agent:
        yield agent


@pytest.fixture
def new_updater(database: Database, tmp_path: Path) -> NewUpdater:
    """A function that creates the updater of an instance, with the file of its last run."""

    def make(instance_id: str, **options) -> ScoreUpdater:
        file = LearnedScoresFile(tmp_path / instance_id)
        return ScoreUpdater(options.pop("database", database), instance_id=instance_id, file=file, **options)

    return make
