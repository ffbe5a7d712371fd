"""The example of docs/how-to/evaluate.md: on this traffic the command prints what the page shows."""

import random
import re
from typing import Any

import psycopg
import pytest
from support.events import an_event
from support.ingest import ingest
from support.pages import shell_blocks
from support.repository import REPOSITORY
from support.servers import execute
from typer.testing import CliRunner

from centralcloud.cli.app import app
from centralcloud.runtime.postgres.database import Database

_PAGE = REPOSITORY / "docs/how-to/evaluate.md"
#: Times differ from run to run.
_TIME = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d)?")
#: The probability of each model, its success and its cost in USD, by complexity.
_FLEET = {
    "simple": {
        "cirrus-mini": (0.6, 0.97, 0.001),
        "borealis-pro": (0.36, 0.9, 0.004),
        "atlas-large": (0.04, 0.94, 0.02),
    },
    "complex": {"atlas-large": (0.9, 0.9, 0.04), "borealis-pro": (0.08, 0.7, 0.009), "cirrus-mini": (0.02, 0.5, 0.002)},
}
#: Configured score, and the published one.
_SCORES = {
    ("cirrus-mini", "simple"): (3.0, 4.85), ("borealis-pro", "simple"): (4.6, 4.5), ("atlas-large", "simple"): (4.0, 4.7),
    ("cirrus-mini", "complex"): (1.5, 2.5), ("borealis-pro", "complex"): (4.6, 3.5), ("atlas-large", "complex"): (4.2, 4.5),
}  # fmt: skip


def _decisions(count: int, rng: random.Random) -> list[dict[str, Any]]:
    """Return decisions and their outcomes; every choice of the least likely model is a probe."""
    events = []
    for number in range(count):
        complexity = ("simple", "complex")[number % 2]
        models = _FLEET[complexity]
        (model,) = rng.choices(list(models), [chance for chance, _, _ in models.values()])
        chance, success, cost = models[model]
        decided = {
            "complexity": complexity, "selected_model": model, "propensity": chance,
            "decision_id": f"{rng.getrandbits(64):x}",
        }  # fmt: skip
        events.append(an_event(**decided, **({"probe": True} if chance < 0.05 else {})))
        outcome = "success" if rng.random() < success else "failure"
        events.append(an_event(outcome=outcome, cost_usd=cost, **decided))
    return events


def _publish(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        for version, ((model, complexity), (configured, score)) in enumerate(_SCORES.items(), start=1):
            values = {"model": model, "complexity": complexity, "old": configured, "new": score, "version": version}
            connection.execute(
                "INSERT INTO model_score_history (version, model_name, complexity_level, old_score, new_score, reason, "
                "rule, run_id, based_on_samples, after_slice, through_slice, created_at) VALUES (%(version)s, %(model)s, "
                "%(complexity)s, %(old)s, %(new)s, 'x', 'adaptive', 1, 100, 0, 1, now() - interval '8 days')",
                values,
            )
            connection.execute(
                "INSERT INTO model_scores (model_name, complexity_level, score, version, reason, rule, based_on_samples, "
                "evaluated_through_slice, evidence_from, earlier_boundaries, state_payload, excluded_instances, "
                "recomputable) VALUES (%(model)s, %(complexity)s, %(new)s, %(version)s, 'x', 'adaptive', 100, 1, 0, '{}', "
                "'{}', '{}', true)",
                values,
            )


def test_the_example_prints_what_the_page_shows(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    rng = random.Random(17)
    ingest(database, database_url, _decisions(1200, rng))
    execute(database_url, "UPDATE routing_records SET created_at = created_at - interval '40 minutes'")
    ingest(database, database_url, _decisions(1800, rng))
    _publish(database_url)
    block = shell_blocks(_PAGE)[0]
    program, *arguments = block.commands.split()
    assert program == "centralcloud"
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    shown, printed = (
        [" ".join(_TIME.sub("TIME", line).split()) for line in text.splitlines()]
        for text in (block.shown, result.stdout)
    )
    assert shown == printed
