"""Scores of an instance that another program has changed: the reconciliation finds them, whatever their version."""

import json
from collections.abc import Callable

import pytest
from support.distribution import NewUpdater, learn_once, score_of, send_manual_score
from support.events import outcomes, send
from support.servers import execute

from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rule import Rule
from centralcloud.learning.rules import AdaptiveRule, ThresholdRule
from centralcloud.runtime.postgres.database import Database
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.sync.score_updater import ScoreUpdater


def logged(caplog: pytest.LogCaptureFixture, name: str) -> int:
    """Return how many events of one name were logged."""
    return sum(isinstance(record.msg, dict) and record.msg["event"] == name for record in caplog.records)


@pytest.mark.parametrize("key", ["score", "mean", "n_eff"])
def test_another_number_with_the_same_version_is_corrected_at_the_start(
    key: str, new_updater: NewUpdater, database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    _learn(database, database_url, AdaptiveRule())
    first = new_updater("i-1")
    _poll(first)
    assert logged(caplog, "learned_scores_corrected") == 0
    right = first.learned.scores
    path = first._file.path
    content = json.loads(path.read_text())
    (row,) = content["scores"]
    row[key] = 0.125
    path.write_text(json.dumps(content))
    second = new_updater("i-1")
    assert second.learned.scores != right
    _poll(second)
    assert second.learned.scores == right
    assert logged(caplog, "learned_scores_corrected") == 1
    assert f"version {row['version']}" in caplog.text
    assert json.loads(path.read_text())["scores"][0][key] != 0.125, "in the file, too"


def test_an_update_that_contradicts_the_database_is_corrected(
    new_updater: NewUpdater, database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    updater = new_updater("i-1", reconcile_interval_seconds=0.0)
    _poll(updater)
    send_manual_score(database_url, 4.9, version=1)
    learn_once(database, database_url)
    ((version, published),) = execute(database_url, "SELECT version, score FROM centralcloud.current_scores()")
    assert version == 1
    _poll(updater)
    assert score_of(updater) == float(published) < 4.9
    assert logged(caplog, "learned_scores_corrected") == 1


@pytest.mark.parametrize("rule", [ThresholdRule, AdaptiveRule])
def test_what_the_daemon_publishes_agrees_with_its_own_snapshot(
    rule: Callable[[], Rule],
    new_updater: NewUpdater,
    database: Database,
    database_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    updater = new_updater("i-1", reconcile_interval_seconds=3600.0)
    _poll(updater)
    _learn(database, database_url, rule())
    _poll(updater)
    assert updater.learned.scores, "from the message"
    updater._reconciled_at = None
    _poll(updater)
    assert logged(caplog, "learned_scores_corrected") == 0


@pytest.mark.parametrize("removed", [False, True])
def test_a_file_that_is_changed_while_the_instance_runs_is_written_again(
    removed: bool, new_updater: NewUpdater, database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    learn_once(database, database_url)
    updater = new_updater("i-1")
    _poll(updater)
    path = updater._file.path
    before = path.read_text()
    path.unlink() if removed else path.write_text(before.replace("2.3", "4.9"))
    _poll(updater)
    _poll(updater)
    assert path.read_text() == before
    assert logged(caplog, "learned_scores_file_changed") == 1


def test_scores_of_task_types_come_with_messages_and_with_the_snapshot(
    new_updater: NewUpdater, database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    follower = new_updater("i-1", reconcile_interval_seconds=3600.0)
    _poll(follower)
    for name in ("law", "math"):
        send(database_url, outcomes(20, 7, selected_model="gpt-4o", task_type=name))
    _learn(database, database_url, AdaptiveRule())
    _poll(follower)
    (score,) = follower.learned.scores.values()
    assert set(score.task_types) == {"law", "math"}
    follower._reconciled_at = None
    _poll(follower)
    starter = new_updater("i-2", learned=LearnedScores())
    _poll(starter)
    assert starter.learned.scores == follower.learned.scores
    assert logged(caplog, "learned_scores_corrected") == 0
    row = json.loads(follower._file.path.read_text())["scores"][0]
    row["task_types"]["law"]["mean"] = 0.125
    follower._file.path.write_text(json.dumps({**json.loads(follower._file.path.read_text()), "scores": [row]}))
    again = new_updater("i-1")
    _poll(again)
    assert again.learned.scores == starter.learned.scores
    assert logged(caplog, "learned_scores_corrected") == 1


def test_a_database_of_an_earlier_revision_has_no_scores_of_task_types(
    new_updater: NewUpdater, database: Database, database_url: str
) -> None:
    _learn(database, database_url, AdaptiveRule())
    execute(database_url, "DROP FUNCTION centralcloud.current_task_scores")
    updater = new_updater("i-1")
    _poll(updater)
    (score,) = updater.learned.scores.values()
    assert score.task_types == {}


def _learn(database: Database, url: str, rule: Rule) -> None:
    send(url, outcomes(100, 7, selected_model="gpt-4o", complexity_score=2.0))
    drain(database, batch_size=1000)
    Learner(database, [rule]).learn()


def _poll(updater: ScoreUpdater) -> None:
    while updater.run_once():
        pass
