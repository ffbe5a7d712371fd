"""Scores of task types in a score update: bounded, and one that is not valid never costs the score of the pair."""

import json

import pytest

from centralcloud.contracts import Estimate, parse_score_update
from centralcloud.contracts.score_update import ScoreUpdate
from centralcloud.contracts.task_score import MAX_TASK_TYPES, TaskScore

LAW = {"score": 4.2, "mean": 0.84, "n_eff": 40.0, "draw_n": 75.6, "probe_share": 0.003, "version": 7}


def parsed(task_types: object) -> dict[str, TaskScore]:
    text = json.dumps({"model": "m", "complexity": "simple", "new_score": 3.0, "task_types": task_types})
    update = parse_score_update(text)
    assert update.new_score == 3.0
    return dict(update.task_types)


def test_a_message_with_task_types_is_read_as_it_was_written() -> None:
    task = TaskScore(score=4.2, estimate=Estimate(mean=0.84, n_eff=40.0, draw_n=75.6, probe_share=0.003), version=7)
    update = ScoreUpdate(model="m", complexity="simple", new_score=3.0, task_types={"law": task})
    assert update.to_message()["task_types"] == {"law": LAW}
    assert parse_score_update(update.to_json()).task_types == {"law": task}
    assert "task_types" not in ScoreUpdate(model="m", complexity="simple", new_score=3.0).to_message()


@pytest.mark.parametrize(
    "wrong",
    [
        7, None, {**LAW, "score": 5.5}, {**LAW, "score": "4"}, {**LAW, "mean": 2}, {**LAW, "n_eff": 0}, {"score": 1},
        {**LAW, "version": 0}, {**LAW, "version": True},
    ],
)  # fmt: skip
def test_a_task_type_that_is_not_valid_is_left_out(wrong: object) -> None:
    assert set(parsed({"law": LAW, "math": wrong})) == {"law"}


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "a\u202eb"])
def test_a_name_that_cannot_be_shown_is_left_out(name: str) -> None:
    assert set(parsed({"law": LAW, name: LAW})) == {"law"}


@pytest.mark.parametrize("task_types", [[LAW], "law", 3, {f"t{n}": LAW for n in range(MAX_TASK_TYPES + 1)}])
def test_what_is_not_an_object_of_at_most_32_names_is_left_out(task_types: object) -> None:
    assert parsed(task_types) == {}


def test_a_part_that_only_describes_may_be_missing() -> None:
    assert parsed({"law": {"score": 4, "mean": 0.8, "n_eff": 10}})["law"] == TaskScore(
        score=4.0, estimate=Estimate(mean=0.8, n_eff=10.0)
    )
