"""Suspicion of a rise: the ratio is that of a plain calculation; successes raise it, an unlucky start does not."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.adaptive_by_hand import Slice, boundaries, evidence_of, of, rise_log_ratio

from centralcloud.learning.evidence import Evidence
from centralcloud.learning.rules.suspicion import Suspicion, Told, suspect_rises

PAIR = ("m", "simple")
COMPLEXITIES = ("simple", "medium", "complex")
#: The other traffic of the fleet, so that each slice ends at a boundary.
REST: Slice = {("other", "simple"): of(50, 25)}


def suspect(
    slices: list[Slice], goal: float | dict[tuple[str, str], float], *, start: int = 0, phi: float = 1.0
) -> Suspicion:
    """Return the suspicion of every pair; those without a goal lead."""
    evidence = evidence_of(slices)
    goals = goal if isinstance(goal, dict) else {PAIR: goal}
    pairs = len(evidence.pairs)
    return suspect_rises(
        evidence,
        np.full(pairs, start, dtype=np.int64),
        np.full(pairs, phi),
        np.array([goals.get(pair, math.nan) for pair in evidence.pairs]),
    )


def column(slices: list[Slice], pair: tuple[str, str] = PAIR) -> int:
    return evidence_of(slices).pairs.index(pair)


def rows(*counts: tuple[int, int]) -> list[Slice]:
    """Return slices of `PAIR` from (outcomes, successes)."""
    return [{**REST, PAIR: of(n, s)} for n, s in counts]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.floats(0, 1)), min_size=2, max_size=40),
    st.floats(0.05, 1.1),
    st.sampled_from([1.0, 0.2]),
)
def test_the_ratio_is_the_largest_of_a_plain_search(counts: list[tuple[int, float]], goal: float, phi: float) -> None:
    slices = rows(*[(n, round(n * rate)) for n, rate in counts])
    found, at = suspect(slices, goal, phi=phi), column(slices)
    ratios = [rise_log_ratio(slices, PAIR, goal, position, phi) for position in boundaries(slices)]
    expected = max([ratio for ratio in ratios if ratio is not None], default=-math.inf)
    assert found.ratio[at] == pytest.approx(math.exp(min(expected, 50)), rel=1e-6)
    assert found.suspected[at] == (expected > 2)
    if expected > 2:
        assert ratios[boundaries(slices).index(int(found.position[at]))] == pytest.approx(expected)


def test_a_few_successes_of_a_hopeless_model_are_suspicious() -> None:
    one, two = (suspect(rows(*[(20, 3)] * 10, (n, n)), 0.9) for n in (1, 2))
    at = column(rows((20, 3)))
    assert not one.suspected[at]
    assert two.suspected[at]
    assert two.position[at] == 10
    assert two.ratio[at] == pytest.approx((0.9 / 0.15) ** 2, rel=0.02)


def test_outcomes_as_before_are_not_suspicious() -> None:
    slices = rows(*[(20, 3)] * 20)
    assert not suspect(slices, 0.9).suspected.any()


def test_a_fall_is_not_suspicious() -> None:
    assert not suspect(rows(*[(20, 12)] * 10, *[(20, 2)] * 3), 0.9).suspected.any()


def test_a_model_that_was_unlucky_at_first_is_not_suspected_for_ever() -> None:
    slices = rows((12, 0), *[(20, 10)] * 20)
    at = column(slices)
    assert not suspect(slices, 0.9).suspected[at]
    against_before_alone = 200 * math.log(0.9 / 0.01) + 200 * math.log(0.1 / 0.99)
    assert against_before_alone > 400, "compared with the rate before alone, it would be"


def test_ten_outcomes_before_are_needed() -> None:
    for before, suspected in ((9, False), (10, True)):
        slices = rows((before, 0), (9, 9))
        assert suspect(slices, 0.95).suspected[column(slices)] == suspected


def test_a_model_that_is_close_to_the_leader_is_not_suspected() -> None:
    slices = rows(*[(100, 80)] * 10, (60, 58))
    at = column(slices)
    assert not suspect(slices, 0.89).suspected[at], "such a gap is hardly worth a probe"
    assert suspect(slices, 0.95).suspected[at]


def test_a_model_that_cannot_become_the_best_by_success_is_not_suspected() -> None:
    slices = rows(*[(20, 3)] * 10, (9, 9))
    assert not suspect(slices, 1.02).suspected.any(), "it is too slow or too expensive"
    assert not suspect(slices, {}).suspected.any(), "it leads"


def test_outcomes_before_the_window_are_ignored() -> None:
    slices = rows(*[(20, 0)] * 10, *[(20, 12)] * 10)
    at = column(slices)
    assert suspect(slices, 0.9).suspected[at]
    assert not suspect(slices, 0.9, start=10).suspected[at]


def test_the_outcomes_of_all_complexities_are_looked_at_together() -> None:
    pairs = [("m", complexity) for complexity in COMPLEXITIES]
    slices: list[Slice] = [{**REST, **dict.fromkeys(pairs, of(20, 4))}] * 10
    slices += [{**REST, **dict.fromkeys(pairs, of(1, 1))}]
    goals = dict.fromkeys(pairs, 0.9)
    alone = suspect([{**REST, pairs[0]: each[pairs[0]]} for each in slices], {pairs[0]: 0.9})
    assert not alone.suspected.any(), "one success is not enough"
    found = suspect(slices, goals)
    columns = [column(slices, pair) for pair in pairs]
    assert found.suspected[columns].all()
    assert found.whole_model[columns].all()
    one = rise_log_ratio(slices, pairs[0], 0.9, 10)
    assert one is not None
    assert found.ratio[columns] == pytest.approx(math.exp(3 * one))
    assert found.position[columns].tolist() == [10] * 3


def test_failures_elsewhere_do_not_clear_a_complexity_that_rose() -> None:
    pairs = [("m", complexity) for complexity in COMPLEXITIES]
    slices: list[Slice] = [{**REST, **dict.fromkeys(pairs, of(20, 4))}] * 10
    slices += [{**REST, pairs[0]: of(4, 4), pairs[1]: of(20, 4), pairs[2]: of(20, 4)}]
    found = suspect(slices, dict.fromkeys(pairs, 0.9))
    assert found.suspected[[column(slices, pair) for pair in pairs]].tolist() == [True, False, False]
    assert not found.whole_model.any()


def test_constant_rates_are_hardly_ever_suspected() -> None:
    """Twelve trailing models over 40,000 tasks: a suspicion costs probes, so few may be wrong at any time."""
    rng = np.random.default_rng(3)
    rates = {(f"m{number}", "simple"): 0.2 + 0.05 * number for number in range(12)}
    evidence, seen, wrong = evidence_of([]), 0, 0
    for number in range(200):
        sums = {pair: of(16, int(rng.binomial(16, rate))) for pair, rate in rates.items()}
        evidence.append(number + 1, evidence_of([{}]).opened_at[0], sums)
        found = suspect_rises(evidence, np.zeros(12, dtype=np.int64), np.ones(12), np.full(12, 0.9))
        seen, wrong = seen + 12, wrong + int(found.suspected.sum())
    assert wrong / seen < 0.03


def test_nothing_is_suspected_without_a_boundary() -> None:
    found = suspect([{PAIR: of(20, 2)}], 0.9)
    assert (found.suspected.tolist(), found.ratio.tolist(), found.position.tolist()) == ([False], [0.0], [-1])


def test_a_complexity_is_suspected_when_its_model_rose_in_another_one() -> None:
    """Its odds are even then: without an outcome since, the ratio is the 50 that are missing. Failures end the suspicion."""
    other = (PAIR[0], "complex")
    for since, suspected in (((0, 0), True), ((1, 1), True), ((6, 0), False)):
        slices: list[Slice] = [{**REST, PAIR: of(4, 0), other: of(4, 0)}] * 10
        slices += [{**REST, PAIR: of(*since), other: of(15, 14)}]
        evidence = evidence_of(slices)
        starts = np.array([10 if pair == other else 0 for pair in evidence.pairs])
        goal = np.array([0.9 if pair == PAIR else math.nan for pair in evidence.pairs])
        rose = np.array([pair == other for pair in evidence.pairs])
        found = suspect_rises(evidence, starts, np.ones(len(starts)), goal, rose)
        at = evidence.pairs.index(PAIR)
        assert found.suspected[at] == suspected
        assert not found.suspected[evidence.pairs.index(("other", "simple"))]
        if since == (0, 0):
            assert (found.ratio[at], found.position[at]) == (pytest.approx(50), 10)
            assert found.followed[at]
            assert not suspect_rises(evidence, starts, np.ones(len(starts)), goal).suspected[at]


def told_of(evidence: Evidence, since: int, former: float = math.nan) -> Told:
    """Return that another version of `PAIR` was told from `since` on, and of no other pair."""
    mine = np.array([pair == PAIR for pair in evidence.pairs])
    return Told(np.where(mine, since, -1), np.where(mine, former, math.nan))


@pytest.mark.parametrize(("since", "suspected"), [((0, 0), True), ((1, 1), True), ((2, 0), False), ((9, 0), False)])
def test_where_answers_name_another_version_a_rise_is_as_likely_as_not(since: tuple[int, int], suspected: bool) -> None:
    """Before it counts, the rate as it was is that of the outcomes before it. Failures end the suspicion."""
    slices: list[Slice] = [{**REST, PAIR: of(4, 0)}] * 10 + [{**REST, PAIR: of(*since)}]
    evidence = evidence_of(slices)
    starts, ones = np.zeros(2, dtype=np.int64), np.ones(2)
    goal = np.array([0.9 if pair == PAIR else math.nan for pair in evidence.pairs])
    found, at = (
        suspect_rises(evidence, starts, ones, goal, told=told_of(evidence, 10)),
        evidence.pairs.index(PAIR),
    )
    assert found.suspected.tolist() == [suspected and pair == PAIR for pair in evidence.pairs]
    if since == (0, 0):
        assert (found.ratio[at], found.position[at], found.told[at]) == (pytest.approx(50), 10, True)
        assert not suspect_rises(evidence, starts, ones, goal).suspected[at]


@pytest.mark.parametrize(
    ("since", "suspected"), [((0, 0), True), ((3, 3), True), ((9, 8), True), ((2, 0), False), ((10, 8), False)]
)
def test_a_version_that_counts_is_suspected_until_it_has_ten_outcomes(since: tuple[int, int], suspected: bool) -> None:
    """Its window begins with it: the rate as it was is the mean of the version before."""
    slices: list[Slice] = [{**REST, PAIR: of(4, 1)}] * 10 + [{**REST, PAIR: of(*since)}]
    evidence = evidence_of(slices)
    goal = np.array([0.9 if pair == PAIR else math.nan for pair in evidence.pairs])
    starts = np.where(np.isnan(goal), 0, 10)
    found, at = (
        suspect_rises(evidence, starts, np.ones(2), goal, told=told_of(evidence, 10, 0.25)),
        evidence.pairs.index(PAIR),
    )
    assert found.suspected[at] == suspected
    expected = 50 * (0.9 / 0.25) ** since[1] * (0.1 / 0.75) ** (since[0] - since[1])
    if suspected:
        assert found.ratio[at] == pytest.approx(expected)


def test_a_new_version_of_a_model_that_is_close_to_the_leader_is_not_suspected() -> None:
    evidence = evidence_of([{**REST, PAIR: of(4, 3)}] * 10)
    goal = np.array([0.84 if pair == PAIR else math.nan for pair in evidence.pairs])
    for former in (math.nan, 0.75):
        starts = np.where(np.isnan(goal) | math.isnan(former), 0, 10)
        told = told_of(evidence, 10, former)
        assert not suspect_rises(evidence, starts, np.ones(2), goal, told=told).suspected.any()
