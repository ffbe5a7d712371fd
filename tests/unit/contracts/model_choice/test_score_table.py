"""The choices of routers by a score table."""

import pytest

from centralcloud.contracts.estimate import Estimate
from centralcloud.contracts.model_choice.score_table import ScoreTable, TableScore
from centralcloud.contracts.task_score import TaskScore


def test_without_any_estimate_the_highest_score_has_every_choice() -> None:
    table = ScoreTable("t", [TableScore("a", "simple", 4.0), TableScore("b", "simple", 3.9)])
    assert table.chances("simple", None) == {"a": 1.0, "b": 0.0}


def test_models_with_the_same_score_share_the_choices() -> None:
    table = ScoreTable("t", [TableScore(model, "simple", 4.0, learned=False) for model in ("a", "b")])
    assert table.chances("simple", None) == {"a": 0.5, "b": 0.5}


def test_a_task_type_has_its_own_scores_and_an_unknown_one_those_of_other() -> None:
    one = {"coding": _task(0.2), "other": _task(0.9)}
    another = {"coding": _task(0.9), "other": _task(0.2)}
    table = ScoreTable(
        "t",
        [
            TableScore("a", "simple", 4.0, estimate=Estimate(mean=0.5, n_eff=1e6), task_types=one),
            TableScore("b", "simple", 4.0, estimate=Estimate(mean=0.5, n_eff=1e6), task_types=another),
        ],
    )
    assert table.chances("simple", "coding")["b"] == pytest.approx(1.0)
    assert table.chances("simple", "poetry")["a"] == pytest.approx(1.0)
    assert table.chances("simple", None)["a"] == pytest.approx(0.5, abs=0.01)


def _task(mean: float) -> TaskScore:
    return TaskScore(score=5 * mean, estimate=Estimate(mean=mean, n_eff=1e6))
