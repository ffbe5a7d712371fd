"""A request in the scopes of two experiments is in the first one by id, and operators see that they overlap."""

from typing import Any

import pytest
from msgspec.structs import replace
from support.experiment_entries import parsed

from centralcloud.contracts.experiment_overlaps import overlap_notes
from centralcloud.contracts.fleet_configuration import Experiment, ExperimentScope


def one(experiment_id: str, status: str = "running", **scope: Any) -> Experiment:
    found = parsed({"name": "x", "model": "m"})
    return replace(found, id=experiment_id, scope=ExperimentScope(**scope), stage=replace(found.stage, status=status))


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        ({}, {}, True),
        ({"complexities": ("simple",)}, {}, True),
        ({"complexities": ("simple",)}, {"complexities": ("medium", "simple")}, True),
        ({"complexities": ("simple",)}, {"complexities": ("medium",)}, False),
        ({"complexities": ("simple",)}, {"workspaces": ("a",)}, True),
        ({"workspaces": ("b",)}, {"workspaces": ("a",), "task_types": ("code",)}, False),
        ({"policies": ("fast",)}, {"policies": ("slow",)}, False),
        ({"requested_models": ("gpt-4o",)}, {}, False),
        ({"requested_models": ("gpt-4o", "auto")}, {}, True),
        ({"requested_models": ("gpt-4o",)}, {"requested_models": ("gpt-4o",)}, True),
    ],
)
def test_scopes_overlap_where_one_request_may_be_in_both(
    first: dict[str, Any], second: dict[str, Any], overlap: bool
) -> None:
    a, b = one("a", **first), one("b", **second)
    assert bool(overlap_notes(a, [a, b])) is overlap
    assert bool(overlap_notes(b, [a, b])) is overlap


def test_the_sentence_says_which_one_has_the_requests() -> None:
    a, b = one("a"), one("b")
    assert overlap_notes(a, [a, b]) == [
        'its scope overlaps with that of the experiment "b": '
        "the requests of both scopes are in this one alone, the first by id"
    ]
    (note,) = overlap_notes(b, [a, b])
    assert "are in that one alone" in note


def test_experiments_that_have_ended_take_nothing() -> None:
    assert overlap_notes(one("b"), [one("a", "stopped"), one("c", "rolledBack")]) == []
    assert len(overlap_notes(one("b"), [one("a", "promoted"), one("c", "paused")])) == 2
