"""The arithmetic of costs, against numbers computed by hand."""

import pytest

from centralcloud.dashboard.costs import (
    alternative,
    cost_of_success,
    cost_panel,
    difference_interval,
    next_cheaper,
    unknown_share,
)
from centralcloud.dashboard.sources.money import PairMoney


def pair(
    model: str, successes: int, failures: int, usd: float, *, priced: float | None = 1.0, complexity: str = "complex"
) -> PairMoney:
    return PairMoney(model, complexity, successes + failures, successes, failures, round(usd * 1e9), priced, None, None)


def test_a_success_costs_what_its_failures_cost_too() -> None:
    assert cost_of_success(pair("a", 8, 2, 4.0)) == 0.5


def test_outcomes_of_unknown_cost_are_not_free() -> None:
    assert cost_of_success(pair("a", 8, 2, 2.0, priced=0.5)) == 0.5
    assert cost_of_success(pair("a", 8, 2, 0.0, priced=0.0)) is None
    assert cost_of_success(pair("a", 8, 2, 0.0)) == 0.0  # a model of one's own
    assert cost_of_success(pair("a", 0, 2, 1.0)) is None
    assert unknown_share([pair("a", 8, 2, 1.0), pair("b", 30, 0, 0.0, priced=0.0)]) == 0.75
    assert unknown_share([]) == 0.0


def test_the_next_cheaper_model_is_the_dearest_of_the_cheaper_ones_on_the_frontier() -> None:
    pairs = [pair("lead", 95, 5, 9.5), pair("mid", 90, 10, 4.5), pair("low", 50, 50, 0.5), pair("beaten", 80, 20, 4.8)]
    assert next_cheaper(cost_panel("complex", pairs, "lead")) == ("lead", "mid")
    assert next_cheaper(cost_panel("complex", pairs, "low")) is None
    assert next_cheaper(cost_panel("complex", pairs, "beaten")) == ("beaten", "mid")


def test_three_successes_of_three_are_on_no_frontier() -> None:
    pairs = [pair("lead", 950, 50, 10.0), pair("rare", 3, 0, 0.01)]
    assert [each.name for each in cost_panel("complex", pairs, "lead").points if each.on_frontier] == ["lead"]
    assert [each.on_frontier for each in cost_panel("complex", pairs[1:], "rare").points] == [True]


def test_another_leader_saves_and_loses_a_day_as_computed_by_hand() -> None:
    pairs = [pair("lead", 950, 50, 100.0), pair("mid", 180, 20, 8.0)]
    found = alternative(cost_panel("complex", pairs, "lead"), pairs, days=2)
    assert found is not None
    assert (found.leader, found.model, found.tasks, found.outcomes) == ("lead", "mid", 500, 200)
    assert found.saving_usd == pytest.approx(500 * (0.10 - 0.04))
    assert found.lost == pytest.approx(500 * (0.95 - 0.90))
    assert found.lost_low < found.lost < found.lost_high


def test_without_known_costs_there_is_no_estimate() -> None:
    pairs = [pair("lead", 950, 50, 100.0), pair("mid", 180, 20, 0.0, priced=0.0)]
    assert alternative(cost_panel("complex", pairs, "lead"), pairs, days=1) is None


def test_the_interval_of_a_difference_is_that_of_the_paper() -> None:
    # Newcombe 1998, table II, example (a), method 10: 56/70 - 48/80.
    assert difference_interval((56, 70), (48, 80)) == pytest.approx((0.0524, 0.3339), abs=5e-5)
