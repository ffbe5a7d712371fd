"""The custom rule in docs/explanation/learning.md, installed as the page says: as a shadow rule, and as the active one."""

import re
import tomllib
from pathlib import Path

import pytest
from support.events import outcomes, send
from support.repository import REPOSITORY
from support.servers import execute

from centralcloud.administration.score_audit import audit_scores
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rule import wilson_interval
from centralcloud.runtime.postgres.database import Database
from centralcloud.settings import Settings

_PAGE = (REPOSITORY / "docs/explanation/learning.md").read_text()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the page's package into a folder on the path, as pip does."""
    (source,) = re.findall(r"```python\n(.*?)```", _PAGE, re.DOTALL)
    (project,) = (tomllib.loads(block)["project"] for block in re.findall(r"```toml\n(.*?)```", _PAGE, re.DOTALL))
    ((group, entries),) = project["entry-points"].items()
    ((name, target),) = entries.items()
    (tmp_path / f"{target.split(':')[0]}.py").write_text(source)
    information = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (information / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("installed")
def test_the_custom_rule_runs_in_the_shadow_and_as_the_active_rule(database: Database, database_url: str) -> None:
    def ingest(successes: int, failures: int) -> None:
        send(database_url, outcomes(successes, failures))
        drain(database, batch_size=1000)

    ingest(180, 20)
    in_shadow, active = Settings().rules, Settings(rule="cautious").rules
    assert [rule.name for rule in in_shadow] == ["threshold", "adaptive", "cautious"]
    assert [change.reason for change in Learner(database, in_shadow).learn().changes] != []
    expected = 5 * wilson_interval(180, 200)[0]
    (score,) = execute(database_url, "SELECT score::float8 FROM rule_scores WHERE rule = 'cautious'")[0]
    assert score == pytest.approx(expected, abs=5e-4)

    (change,) = Learner(database, active).learn().changes
    assert change.new_score == pytest.approx(expected, abs=5e-4)
    assert change.reason == "at least 85.1% of tasks succeed: 180 of 200 did"
    ingest(90, 0)
    (change,) = Learner(database, active).learn().changes
    assert change.new_score == pytest.approx(5 * wilson_interval(270, 290)[0], abs=5e-4)
    assert change.based_on_samples == 290
    audit = audit_scores(database, active)
    assert (audit.differences, audit.unknown_rules) == ([], [])
