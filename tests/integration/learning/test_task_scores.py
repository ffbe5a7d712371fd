"""Scores of task types: learned beside that of their pair, published in its message, recomputed by the audit."""

import json

import pytest
from support.commands import run_command
from support.events import outcomes
from support.maintenance import ingest
from support.models import ADAPTIVE
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration.models import rename_model
from centralcloud.administration.score_audit import audit_scores
from centralcloud.administration.score_overrides import pin
from centralcloud.learning.learner import Learner
from centralcloud.learning.rule import as_score
from centralcloud.runtime.postgres.database import Database

_CURRENT = """
    SELECT model_name, task_type, score::float8, version = pair_version, n_eff < draw_n, probe_share IS NOT NULL
    FROM centralcloud.current_task_scores() ORDER BY 1, 2
"""


@pytest.fixture
def learned(database: Database, database_url: str) -> Learner:
    """Let atlas be good at law and bad at math, and borealis the reverse."""
    learner = Learner(database, ADAPTIVE)
    for _ in range(3):
        _send(database, database_url)
        learner.learn()
    return learner


def _send(database: Database, url: str) -> None:
    events = [
        event
        for model, name, good in (
            ("atlas", "law", 18),
            ("atlas", "math", 6),
            ("borealis", "law", 7),
            ("borealis", "math", 17),
        )
        for event in outcomes(good, 20 - good, selected_model=model, task_type=name)
    ]
    ingest(database, url, events)


def _messages(url: str) -> list[dict]:
    return [message for (message,) in execute(url, "SELECT message FROM pgmq.q_model_score_updates ORDER BY msg_id")]


@pytest.mark.usefixtures("learned")
def test_task_types_have_scores_of_their_own_in_the_message_of_their_pair(database_url: str) -> None:
    rows = execute(database_url, _CURRENT)
    scores = {(model, name): score for model, name, score, *_ in rows}
    assert scores["atlas", "law"] > 4 > 3 > scores["atlas", "math"]
    assert scores["borealis", "math"] > 3.9 > 2.5 > scores["borealis", "law"]
    assert all(sharpened and probed for *_, sharpened, probed in rows)
    newest = {each["model"]: each for each in _messages(database_url)}
    for model, name, score, *_ in rows:
        assert newest[model]["task_types"][name]["score"] == score
    assert set(newest["atlas"]["task_types"]["law"]) == {"score", "mean", "n_eff", "draw_n", "probe_share", "version"}


def test_a_pair_is_published_when_only_its_task_types_move(
    database: Database, database_url: str, learned: Learner
) -> None:
    (before,) = execute(database_url, "SELECT version, score FROM model_scores WHERE model_name = 'atlas'")
    execute(database_url, "UPDATE model_task_scores SET score = score - 0.1 WHERE task_type = 'law'")
    changes = learned.learn().changes
    assert {change.model for change in changes} == {"atlas", "borealis"}
    ((version, score),) = execute(database_url, "SELECT version, score FROM model_scores WHERE model_name = 'atlas'")
    assert (version > before[0], score) == (True, before[1])
    task_types = _messages(database_url)[-1]["task_types"]
    assert task_types["law"]["version"] == max(change.version for change in changes)
    assert task_types["math"]["version"] < task_types["law"]["version"], "its numbers did not change"
    assert learned.learn().changes == []


def test_the_audit_recomputes_scores_of_task_types(database: Database, database_url: str, learned: Learner) -> None:
    assert audit_scores(database, ADAPTIVE).differences == []
    execute(database_url, "UPDATE model_task_scores SET score = 1 WHERE model_name = 'atlas' AND task_type = 'law'")
    (found,) = audit_scores(database, ADAPTIVE).differences
    assert (found.table, found.key["task_type"], found.stored) == ("model_task_scores", "law", as_score(1.0))
    execute(
        database_url,
        "UPDATE task_evidence SET successes = successes + 50 WHERE model_name = 'borealis' AND task_no = 1",
    )
    found = audit_scores(database, ADAPTIVE).differences
    assert {(each.table, each.key["model"]) for each in found} == {
        ("model_task_scores", "atlas"),
        ("model_task_scores", "borealis"),
        ("rule_scores", "borealis"),
    }
    assert learned.learn().changes != [], "until the evidence is read again, the learner corrects its own numbers"


def test_a_score_that_an_operator_sets_has_no_task_types(
    database: Database, database_url: str, learned: Learner
) -> None:
    pin(database, ("atlas", "complex"), as_score(1.0), None, OPERATOR)
    assert "task_types" not in _messages(database_url)[-1]
    assert {model for model, *_ in execute(database_url, _CURRENT)} == {"borealis"}


def test_a_renamed_model_keeps_the_scores_of_its_task_types(
    database: Database, database_url: str, learned: Learner
) -> None:
    before = execute(database_url, _CURRENT)
    rename_model(database, "atlas", "zephyr", OPERATOR)
    after = execute(database_url, _CURRENT)
    assert {(name, score) for model, name, score, *_ in after if model == "zephyr"} == {
        (name, score) for model, name, score, *_ in before if model == "atlas"
    }
    assert json.dumps(_messages(database_url)[-1]["task_types"])
    learned.learn()
    assert audit_scores(database, ADAPTIVE).differences == []


def test_a_fleet_without_task_types_has_neither_evidence_nor_scores_by_them(
    database: Database, database_url: str
) -> None:
    ingest(database, database_url, outcomes(40, 10))
    Learner(database, ADAPTIVE).learn()
    assert execute(database_url, "SELECT count(*) FROM task_evidence") == [(0,)]
    assert execute(database_url, _CURRENT) == []
    assert all("task_types" not in message for message in _messages(database_url))


@pytest.mark.usefixtures("learned")
def test_the_command_lists_the_best_model_of_each_task_type_first(database_url: str) -> None:
    env = {"DATABASE_URL": database_url}
    shown = run_command("centralcloud", "scores", "--task-types", env=env)
    assert [line.split()[:3] for line in shown.stdout.splitlines()[1:5]] == [
        ["law", "complex", "atlas"],
        ["law", "complex", "borealis"],
        ["math", "complex", "borealis"],
        ["math", "complex", "atlas"],
    ]
    rows = json.loads(run_command("centralcloud", "scores", "--task-types", "--json", env=env).stdout)
    assert (rows[0]["outcomes"], rows[0]["difference"] > 0.5) == (60, True)
