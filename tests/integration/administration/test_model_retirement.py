"""A retired model is excluded from learning and from every choice, until it is reinstated."""

from decimal import Decimal
from pathlib import Path

import pytest
from support.events import an_event, outcomes, send
from support.ingest import ingest
from support.models import ADAPTIVE, THRESHOLD, models_in, published
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration.models import (
    UnknownModelError,
    list_models,
    reinstate_model,
    rename_model,
    retire_model,
)
from centralcloud.administration.score_audit import audit_scores
from centralcloud.administration.score_overrides import RetiredModelError, pin, roll_back
from centralcloud.administration.verification import verify
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rule import Rule
from centralcloud.monitoring.reports import ModelMetrics
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.slices import References
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.sync.score_updater import ScoreUpdater


def test_no_router_chooses_a_retired_model_and_it_is_excluded_from_learning(
    database: Database, database_url: str
) -> None:
    events = [event for model in "ab" for event in outcomes(98, 2, selected_model=model, complexity_score=4.0)]
    ingest(database, database_url, events)
    learner = Learner(database, ADAPTIVE)
    learner.learn()
    before = published(database_url)
    changes = retire_model(database, "a", OPERATOR)
    assert {change.complexity for change in changes} == {"simple", "medium", "complex"}, (
        "also where it was never chosen"
    )
    assert {change.new_score for change in changes} == {0.0}
    ingest(database, database_url, outcomes(100, 0, selected_model="a"))
    run = learner.learn()
    assert all(change.model != "a" for change in run.changes)
    assert published(database_url) == {
        **{("a", complexity): 0.0 for complexity in ("simple", "medium", "complex")},
        ("b", "complex"): pytest.approx(before["b", "complex"], abs=0.05),  # a predicts nothing for it any more
    }
    with database.transaction() as connection:
        (metrics, _) = ModelMetrics(connection).all()
        (listed, _) = list_models(connection)
    assert metrics["success_count"] == 198, "its events are still counted"
    assert (listed["model"], listed["retired"], listed["complexities"]) == ("a", True, ["complex"])
    assert verify(database).differences == []
    with pytest.raises(UnknownModelError, match="a is retired already"):
        retire_model(database, "a", OPERATOR)
    with pytest.raises(RetiredModelError, match=r"a is retired, since .*models retire --undo"):
        pin(database, ("a", "complex"), Decimal("4.5"), None, OPERATOR)
    assert published(database_url)["a", "complex"] == 0.0


@pytest.mark.parametrize("rules", [ADAPTIVE, THRESHOLD])
def test_a_reinstated_model_gets_the_score_of_the_active_rule(
    database: Database, database_url: str, rules: list[Rule], tmp_path: Path
) -> None:
    updater = ScoreUpdater(database, instance_id="i", file=LearnedScoresFile(tmp_path), reconcile_interval_seconds=0)
    ingest(database, database_url, outcomes(98, 2, selected_model="a", complexity_score=4.0))
    learner = Learner(database, rules)
    learner.learn()
    before = published(database_url)
    retire_model(database, "a", OPERATOR)
    updater.run_once()
    assert {score.score for score in updater.learned.scores.values()} == {0.0}
    ingest(database, database_url, outcomes(0, 100, selected_model="a"))
    learner.learn()
    (change,) = reinstate_model(database, "a", OPERATOR)
    assert (change.complexity, change.old_score, change.new_score) == ("complex", 0.0, before["a", "complex"])
    assert published(database_url) == before, "a pair without a score has none again"
    updater.run_once()
    assert {pair: score.score for pair, score in updater.learned.scores.items()} == before
    (learned,) = learner.learn().changes
    assert learned.new_score < before["a", "complex"], "the outcomes that arrived meanwhile count now"
    assert audit_scores(database, rules).differences == []
    with pytest.raises(UnknownModelError, match="found no retired model a"):
        reinstate_model(database, "a", OPERATOR)


def test_a_rollback_leaves_a_retired_model_retired(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(98, 2, selected_model="a", complexity_score=4.0))
    Learner(database, THRESHOLD).learn()
    ((version,),) = execute(database_url, "SELECT max(version) FROM model_scores")
    retire_model(database, "a", OPERATOR)
    assert roll_back(database, THRESHOLD, version, References(), OPERATOR).undone == []
    assert set(published(database_url).values()) == {0.0}


def test_a_retired_model_stays_retired_under_its_new_name(database: Database, database_url: str) -> None:
    ingest(database, database_url, [e for model in "ab" for e in outcomes(98, 2, selected_model=model)])
    Learner(database, THRESHOLD).learn()
    retire_model(database, "a", OPERATOR)
    rename_model(database, "a", "c", OPERATOR)
    assert models_in(database_url)["retired_models"] == ["(other)", "c"]
    assert published(database_url)["c", "complex"] == 0.0
    reinstate_model(database, "c", OPERATOR)
    assert ("c", "complex") not in published(database_url)
    Learner(database, THRESHOLD).learn()
    assert published(database_url)["c", "complex"] == 5.0
    retire_model(database, "c", OPERATOR)
    rename_model(database, "c", "b", OPERATOR)
    assert models_in(database_url)["retired_models"] == ["(other)"], "a name that is in use stays in use"
    assert published(database_url).keys() == {("b", "complex")}
    assert published(database_url)["b", "complex"] > 0


def test_a_retired_model_that_absorbs_another_stays_retired(database: Database, database_url: str) -> None:
    ingest(database, database_url, [e for m in "ab" for e in outcomes(98, 2, selected_model=m, complexity_score=2.0)])
    Learner(database, THRESHOLD).learn()
    retire_model(database, "b", OPERATOR)
    rename_model(database, "a", "b", OPERATOR)
    assert models_in(database_url)["retired_models"] == ["(other)", "b"]
    assert published(database_url) == {("b", complexity): 0.0 for complexity in ("simple", "medium", "complex")}
    reinstate_model(database, "b", OPERATOR)
    assert published(database_url) == {("b", "complex"): 2.3}


def test_retiring_a_model_does_not_change_the_age_of_other_evidence(database: Database, database_url: str) -> None:
    """The outcomes of a retired model still count for the age of other evidence. Otherwise other scores would change."""
    for times in ((200, 9000), (4000, 300), (100, 5000)):
        events = [
            an_event(selected_model=model, outcome="success", response_time_ms=response_time_ms)
            for model, response_time_ms in zip(("kept", "gone"), times, strict=True)
            for _ in range(400 if model == "gone" else 100)
        ]
        send(database_url, events)
        drain(database, batch_size=1000)
        Learner(database, ADAPTIVE).learn()
    retire_model(database, "gone", OPERATOR)
    assert audit_scores(database, ADAPTIVE).differences == []
