"""Probes: their budget is lost utility; half of a model's budget is spent where its tasks are cheapest."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.adaptive_by_hand import Slice, evidence_of, of

from centralcloud.learning.evidence import Evidence, Pair
from centralcloud.learning.rules.probes import leaders_of, probe_shares
from centralcloud.learning.rules.suspicion import Suspicion
from centralcloud.runtime.arrays import Floats

COMPLEXITIES = ("simple", "medium", "complex")


def suspicion(evidence: Evidence, ratios: dict[Pair, float]) -> Suspicion:
    ratio = np.array([ratios.get(pair, 0.0) for pair in evidence.pairs])
    no = np.zeros(len(ratio), bool)
    return Suspicion(ratio, ratio > math.exp(2), np.zeros(len(ratio), np.int64), no, no, no)


def shares(
    costs: dict[Pair, float | None],
    gaps: dict[Pair, float],
    *,
    tasks: dict[str, int] | None = None,
    ratios: dict[Pair, float] | None = None,
) -> dict[Pair, float]:
    """Return the shares of pairs with these mean costs; those without a gap lead."""
    number = tasks or dict.fromkeys(COMPLEXITIES, 100)
    evidence = evidence_of([{pair: of(number[pair[1]], 0, cost=cost) for pair, cost in costs.items()}])
    gap: Floats = np.array([gaps.get(pair, math.nan) for pair in evidence.pairs])
    found = probe_shares(evidence, gap, np.zeros(len(gap), bool), suspicion(evidence, ratios or {}))
    return dict(zip(evidence.pairs, found.tolist(), strict=True))


def fleet(costs: tuple[float | None, ...]) -> dict[Pair, float | None]:
    """Return two models with these costs per complexity."""
    return {(model, complexity): cost for model in "ab" for complexity, cost in zip(COMPLEXITIES, costs, strict=True)}


SECOND = {("b", complexity): 0.5 for complexity in COMPLEXITIES}


@pytest.mark.parametrize(
    ("costs", "cheapest"),
    [
        ((0.1, 0.2, 0.3), "simple"),
        ((0.3, 0.1, 0.2), "medium"),
        ((0.2, 0.2, 0.2), "simple"),
        ((None, None, None), "simple"),
        ((None, None, 0.9), "complex"),
    ],
)
def test_half_of_the_base_probes_of_a_model_go_to_its_cheapest_complexity(
    costs: tuple[float | None, ...], cheapest: str
) -> None:
    found = shares(fleet(costs), SECOND)
    evenly = 0.002 / 0.5
    for complexity in COMPLEXITIES:
        expected = 1.5 * evenly if complexity == cheapest else 0.75 * evenly
        assert found["b", complexity] == pytest.approx(expected), complexity
        assert found["a", complexity] == 0, "the leader is used anyway"


def test_a_complexity_that_has_half_of_the_probes_anyway_keeps_its_share() -> None:
    found = shares(fleet((0.1, 0.2, 0.3)), SECOND, tasks={"simple": 400, "medium": 100, "complex": 100})
    assert [found["b", complexity] for complexity in COMPLEXITIES] == pytest.approx([0.002 / 0.5] * 3)


def test_a_complexity_that_the_model_leads_needs_none() -> None:
    gaps = {pair: gap for pair, gap in SECOND.items() if pair[1] != "simple"} | {("a", "simple"): 0.2}
    found = shares(fleet((0.1, 0.2, 0.3)), gaps)
    assert found["b", "simple"] == 0
    assert found["a", "simple"] == pytest.approx(0.002 / 0.2)
    assert [found["b", each] for each in ("medium", "complex")] == pytest.approx([0.002 / 0.5] * 2)


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.tuples(*[st.none() | st.floats(0, 1)] * 3), min_size=2, max_size=6),
    st.lists(st.integers(1, 1000), min_size=3, max_size=3),
    st.data(),
)
def test_base_probes_never_cost_more_than_the_budget(
    costs: list[tuple[float | None, ...]], tasks: list[int], data: st.DataObject
) -> None:
    of_all = {
        (f"m{number}", complexity): cost
        for number, each in enumerate(costs)
        for complexity, cost in zip(COMPLEXITIES, each, strict=True)
    }
    gaps = {pair: data.draw(st.floats(0, 0.9)) for pair in of_all if pair[0] != "m0"}
    number = dict(zip(COMPLEXITIES, tasks, strict=True))
    found = shares(of_all, gaps, tasks=number)
    lost = sum(found[pair] * gaps[pair] * number[pair[1]] for pair in gaps)
    assert lost <= 0.002 * sum(tasks) * (1 + 1e-9)
    assert max(found.values()) <= 0.01


def test_suspected_pairs_cost_at_most_the_budget_of_returns_in_expectation() -> None:
    ratios = {("b", complexity): ratio for complexity, ratio in zip(COMPLEXITIES, (1.0, 10.0, 1e6), strict=True)}
    base, found = (shares(fleet((0.2, 0.2, 0.2)), SECOND, ratios=each) for each in ({}, ratios))
    extra = {complexity: found["b", complexity] - base["b", complexity] for complexity in COMPLEXITIES}
    assert extra["simple"] == 0, "it is not suspected"
    assert extra["medium"] == pytest.approx(0.01 / 0.5 * (1 + 10 / 50))
    assert extra["complex"] == pytest.approx(0.20)


def test_the_leader_of_each_complexity_is_the_pair_of_highest_utility() -> None:
    pairs = [("a", "simple"), ("b", "simple"), ("a", "complex"), ("c", "simple"), ("b", "complex")]
    found = leaders_of(pairs, np.array([0.5, 0.7, 0.9, 0.7, 0.2]))
    assert found.tolist() == [1, 1, 2, 1, 2], "of equals, the first"


def test_a_lone_leader_needs_no_probes() -> None:
    lone: Slice = {("a", "simple"): of(100, 50)}
    evidence = evidence_of([lone])
    assert probe_shares(evidence, np.array([math.nan]), np.array([True]), suspicion(evidence, {})).tolist() == [0]
