"""The leaders before and after a run, and which of its scores wait for a canary."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from centralcloud.contracts.estimate import NO_ESTIMATE, Estimate
from centralcloud.contracts.task_score import TaskScore
from centralcloud.learning.current_scores import CurrentScore
from centralcloud.learning.leaders import Divided, LeaderChange, Traffic, divide
from centralcloud.learning.publication import Publication, manual_score

TRAFFIC = (Traffic("complex", None, 10), Traffic("simple", None, 90))


def published(model: str, score: float, complexity: str = "complex", **more: Any) -> CurrentScore:
    known = {"last_reported_score": None, "mean": None, "n_eff": None, "probe_share": None, "through_slice": 1}
    nothing = {"pinned_score": None, "held_after_slice": None, "retired_at": None, "routed_count": 9}
    return CurrentScore(
        model, complexity, score=Decimal(str(score)), version=1, outcome_count=9, **(known | nothing | more)
    )  # type: ignore[arg-type]


def to(current: CurrentScore, score: float, estimate: Estimate = NO_ESTIMATE, **task_types: TaskScore) -> Publication:
    made = manual_score(current, Decimal(str(score)), "step", "")
    return Publication(current, replace(made, estimate=estimate, task_types=task_types))


A, B, C = published("a", 4.0), published("b", 3.9), published("c", 1.0)


def divided(
    publications: Sequence[Publication],
    most: float = 0.05,
    traffic: Sequence[Traffic] = TRAFFIC,
    current: Sequence[CurrentScore] = (A, B, C),
    fallen: Sequence[tuple[str, str]] = (),
) -> tuple[str, str]:
    """Return the models whose scores are published at once, and those whose scores wait."""
    found = divide(current, publications, traffic, most, fallen=fallen)
    assert len(found.direct) + len(found.held) == len(publications)
    return "".join(each.score.model for each in found.direct), "".join(each.score.model for each in found.held)


def test_a_new_leader_of_more_than_the_share_waits_with_the_old_one_and_says_whom_it_replaces() -> None:
    run = [to(A, 3.5), to(B, 4.2), to(C, 1.5)]
    assert divided(run) == ("c", "ab"), "c leads neither before nor after"
    found = divide([A, B, C], run, TRAFFIC, 0.05)
    assert found.changes == [LeaderChange("complex", None, ("a",), ("b",), 0.1)]


@pytest.mark.parametrize(("most", "expected"), [(0.0999, ("", "b")), (0.1, ("b", "")), (1.0, ("b", ""))])
def test_the_share_is_that_of_the_decisions_of_the_last_day(most: float, expected: tuple[str, str]) -> None:
    assert divided([to(B, 4.2)], most) == expected


def test_scores_that_change_no_leader_are_published_whatever_the_traffic() -> None:
    run = [to(A, 4.9), to(B, 3.0), to(C, 3.95)]
    assert divided(run, 0.0) == ("abc", "")
    assert divide([A, B, C], run, TRAFFIC, 0.0) == Divided(run, [], [])


def test_complexities_add_up_but_only_those_with_a_new_leader_wait() -> None:
    simple = [published("a", 4.0, "simple"), published("b", 3.0, "simple")]
    medium = [published("a", 4.0, "medium"), published("b", 3.9, "medium")]
    traffic = [Traffic("complex", None, 4), Traffic("simple", None, 92), Traffic("medium", None, 4)]
    run = [to(B, 4.2), to(simple[0], 4.1), to(medium[1], 4.5)]
    found = divide([A, B, *simple, *medium], run, traffic, 0.05)
    assert [each.current.pair for each in found.held] == [("b", "complex"), ("b", "medium")]
    assert [each.traffic_share for each in found.changes] == pytest.approx([0.04, 0.04])
    assert divide([A, B], run[:1], traffic, 0.05).held == [], "4% alone are not more than 5%"


def test_a_whole_complexity_waits_where_the_rest_would_change_its_leader_too() -> None:
    third = published("c", 3.8)
    assert divided([to(B, 4.5), to(third, 4.2)], current=[A, B, third]) == ("", "bc")


def test_a_fall_by_an_alarm_is_published_at_once_and_a_rise_is_not() -> None:
    assert divided([to(A, 1.0)]) == ("", "a")
    assert divided([to(A, 1.0)], fallen=[("a", "complex")]) == ("a", "")
    assert divided([to(B, 4.2)], fallen=[("b", "complex")]) == ("", "b")
    assert divided([to(A, 1.0), to(C, 3.95)], fallen=[("a", "complex")]) == ("a", "c"), (
        "b leads by the fall, c does not"
    )


def test_without_decisions_of_the_last_day_nothing_waits() -> None:
    assert divided([to(B, 4.2)], traffic=[]) == ("b", "")
    assert divided([to(B, 4.2)], traffic=[Traffic("complex", None, 0)]) == ("b", "")


def test_models_that_are_equal_lead_together() -> None:
    same = published("b", 4.0)
    assert divided([to(same, 4.1)], current=[A, same]) == ("b", ""), "it led before"
    assert divided([to(B, 4.0)]) == ("", "b"), "it did not"


def test_the_first_score_of_a_pair_counts_and_a_retired_model_leads_nothing() -> None:
    new = published("n", 0.0)._replace(score=None, version=None)
    assert divided([to(new, 4.5)], current=[A, new]) == ("", "n")
    retired = A._replace(retired_at=True)  # type: ignore[arg-type]
    assert divided([to(B, 1.5)], current=[retired, B, published("c", 1.4)]) == ("b", "")


def test_leaders_are_those_of_the_draws_of_routers_where_scores_have_estimates() -> None:
    sure, unsure = Estimate(mean=0.80, n_eff=1e6), Estimate(mean=0.79, n_eff=1e6)
    a = published("a", 4.0, mean=sure.mean, n_eff=sure.n_eff)
    b = published("b", 3.95, mean=unsure.mean, n_eff=unsure.n_eff)
    wide = Estimate(mean=0.79, n_eff=1e6, draw_n=4.0)
    assert divided([to(b, 3.95, unsure)], current=[a, b]) == ("b", "")
    assert divided([to(b, 3.95, wide)], current=[a, b]) == ("", "b"), "a draw of a few outcomes is above 0.8 more often"


def test_a_task_type_may_get_another_leader_than_its_complexity() -> None:
    traffic = [Traffic("complex", None, 80), Traffic("complex", "code", 20)]
    better = TaskScore(score=4.9, estimate=Estimate(mean=0.98, n_eff=1e6))
    worse = TaskScore(score=2.0, estimate=Estimate(mean=0.4, n_eff=1e6))
    sure = Estimate(mean=0.8, n_eff=1e6)
    a = published("a", 4.0, mean=0.8, n_eff=1e6, published_task_types={"code": worse.to_json()})
    b = published("b", 3.9, mean=0.78, n_eff=1e6, published_task_types={"code": worse.to_json() | {"score": 1.9}})
    run = [to(b, 3.9, Estimate(mean=0.78, n_eff=1e6), code=better)]
    found = divide([a, b], run, traffic, 0.05)
    assert [(each.task_type, each.after, each.traffic_share) for each in found.changes] == [("code", ("b",), 0.2)]
    assert found.held == run
    assert divide([a, b], run, traffic, 0.2).held == []
    assert divide([a, b], [to(a, 4.0, sure, code=worse)], traffic, 0.0).held == []
