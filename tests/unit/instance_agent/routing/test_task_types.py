"""Scores of task types in an instance: kept in its file, and used for the tasks of their type by router and planner."""

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.planning import a_planner, model, names, snapshot

from centralcloud.contracts import Estimate
from centralcloud.contracts.task_score import TaskScore
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.routing.request import RoutingRequest
from instance_agent.routing.router import ModelRouter
from instance_agent.routing.task import TaskHints

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def task(mean: float) -> TaskScore:
    return TaskScore(score=5 * mean, estimate=Estimate(mean=mean, n_eff=5000.0, probe_share=0.0), version=3)


def learned(mean: float, **types: float) -> LearnedScore:
    return LearnedScore(
        score=5 * mean,
        version=3,
        at=NOW,
        reason="because",
        estimate=Estimate(mean=mean, n_eff=5000.0, probe_share=0.0),
        task_types={name: task(mean) for name, mean in types.items()},
    )


SCORES = LearnedScores(
    epoch="e",
    version=3,
    scores={
        ("a", "simple"): learned(0.8, law=0.5, other=0.8),
        ("b", "simple"): learned(0.7, law=0.9, other=0.95),
    },
)
MODELS = (model("a", 4.0), model("b", 4.0))
#: The best model for each task type: one that is known, one that counts as other, and none.
BEST = [("law", "b"), ("cooking", "b"), (None, "a"), ("", "a")]


@pytest.mark.parametrize(("task_type", "best"), BEST)
def test_the_router_chooses_by_the_scores_of_the_task_type(task_type: str | None, best: str) -> None:
    router = ModelRouter(ModelCatalog(MODELS, learned=SCORES), instance_id="i", rng=random.Random(1))
    decision = router.route("simple", task_type=task_type)
    assert (decision.model.name, decision.task_type, decision.score_version) == (best, task_type, 3)
    assert decision.propensity is not None
    assert decision.propensity > 0.999


@pytest.mark.parametrize(("task_type", "best"), BEST)
def test_the_planner_chooses_by_the_scores_of_the_task_type(task_type: str | None, best: str) -> None:
    planner, known = a_planner(), snapshot(*MODELS, learned=SCORES)
    asked = RoutingRequest(headers=TaskHints(level="simple", task_type=task_type or None))
    assert names(planner.plan(asked, known))[0] == best
    newer = known._replace(learned=LearnedScores(scores=dict(SCORES.scores)))
    planner.prepare(newer)
    assert names(planner.plan(asked, newer))[0] == best
    assert planner.sets_computed == 1


def test_without_scores_of_task_types_the_task_type_makes_no_difference() -> None:
    scores = LearnedScores(scores={("a", "simple"): learned(0.6), ("b", "simple"): learned(0.6)})
    router = ModelRouter(ModelCatalog(MODELS, learned=scores), instance_id="i", rng=random.Random(1))
    chances = {
        name: [each.chance.propensity for each in router.choose("simple", task_type=name).ranking]
        for name in (None, "law")
    }
    assert chances["law"] == chances[None]


def test_a_model_without_a_score_for_the_task_type_is_compared_by_that_of_its_pair() -> None:
    scores = LearnedScores(scores={("a", "simple"): learned(0.8, law=0.5), ("b", "simple"): learned(0.7)})
    assert scores.task_type_of("law") == "law"
    assert scores.task_type_of("cooking") is None, "there is no other: the fleet has numbers left"
    assert scores.for_task_type("law").of("b", "simple") == learned(0.7)
    router = ModelRouter(ModelCatalog(MODELS, learned=scores), instance_id="i", rng=random.Random(1))
    assert router.choose("simple", task_type="law").model.name == "b"


def test_a_task_type_is_found_as_ingest_would_write_it() -> None:
    scores = LearnedScores(scores={("a", "simple"): learned(0.8, é=0.5)})
    assert scores.task_type_of(" e\u0301 ") == "é"


def test_the_file_keeps_scores_of_task_types_and_one_without_them_loads(tmp_path: Path) -> None:
    file = LearnedScoresFile(tmp_path)
    file.write(SCORES)
    assert file.read() == SCORES
    assert file.path.read_text().count("task_types") == 2
    older = LearnedScores(epoch="e", scores={("a", "simple"): learned(0.8)})
    file.write(older)
    assert "task_types" not in file.path.read_text()
    assert file.read() == older


def test_a_score_of_an_earlier_agent_gets_its_task_types_from_the_snapshot() -> None:
    without, with_types = learned(0.8), learned(0.8, law=0.5)
    assert with_types.replaces(without)
    assert not without.replaces(with_types)
    assert not with_types.replaces(with_types)


def test_the_catalog_shows_scores_of_task_types() -> None:
    shown = ModelCatalog(MODELS, learned=SCORES).as_json()["models"][0]["learned"]["simple"]
    assert shown["task_types"]["law"]["score"] == 2.5
