"""Change detection: the likelihood ratio is the textbook's; a change is found where it happened, and only there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.adaptive_by_hand import Slice, best_split, differ, evidence_of, of, threshold, total

from centralcloud.learning.rules.change_detection import Split, change_threshold, find_changes
from centralcloud.learning.rules.likelihood import log_likelihood

PAIR = ("m", "simple")
COMPLEXITIES = ("simple", "medium", "complex")


def split(slices: list[Slice], *, starts: list[int] | None = None, dispersion: float = 1.0) -> Split:
    evidence = evidence_of(slices)
    positions = np.array(starts or [0] * len(evidence.pairs), dtype=np.int64)
    return find_changes(evidence, positions, dispersion)


def steps(*rates: tuple[int, float], per_slice: int = 50) -> list[Slice]:
    """Return slices of one pair from (number of slices, success rate), one after the other."""
    return [{PAIR: of(per_slice, round(per_slice * rate))} for number, rate in rates for _ in range(number)]


@given(st.integers(1, 5000), st.integers(1, 5000), st.data())
def test_the_likelihood_ratio_is_that_of_two_bernoulli_samples(n1: int, n2: int, data: st.DataObject) -> None:
    s1, s2 = data.draw(st.integers(0, n1)), data.draw(st.integers(0, n2))
    ratio = sum(
        sign * log_likelihood(np.array([s]), np.array([n]))[0]
        for sign, s, n in ((1, s1, n1), (1, s2, n2), (-1, s1 + s2, n1 + n2))
    )
    assert ratio == pytest.approx(differ(n1, s1, n2, s2), abs=1e-6)


@pytest.mark.parametrize("outcomes", [1, 20, 1204, 10**7])
def test_the_threshold_grows_with_the_window(outcomes: int) -> None:
    assert change_threshold(np.array([float(outcomes)]))[0] == pytest.approx(threshold(outcomes))


@pytest.mark.parametrize(("before", "after"), [(0.9, 0.5), (0.4, 0.8), (1.0, 0.6), (0.0, 0.3)])
@pytest.mark.parametrize("at", [3, 20, 37])
def test_a_change_is_found_at_the_slice_at_which_it_happened(before: float, after: float, at: int) -> None:
    slices = steps((at, before), (40 - at, after))
    found = split(slices)
    assert found.changed.tolist() == [True]
    assert found.whole_model.tolist() == [False]
    assert found.position.tolist() == [at]
    expected = best_split(slices, PAIR)
    assert expected is not None
    assert found.statistic[0] == pytest.approx(expected.statistic)
    assert found.threshold[0] == pytest.approx(expected.threshold)
    assert (found.before[0], found.after[0]) == pytest.approx((before, after))


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(st.integers(1, 120), st.integers(0, 100)), min_size=1, max_size=40))
def test_the_best_split_is_that_of_a_plain_search(rows: list[tuple[int, int]]) -> None:
    slices: list[Slice] = [{PAIR: of(n, round(n * percent / 100))} for n, percent in rows]
    expected, found = best_split(slices, PAIR), split(slices)
    if expected is None:
        assert (found.position.tolist(), found.changed.tolist()) == ([-1], [False])
        return
    assert found.statistic[0] == pytest.approx(expected.statistic, abs=1e-6)
    if found.statistic[0] > 1e-6:
        n, s = (total(slices[: found.position[0]], PAIR, name) for name in ("outcomes", "reward"))
        assert found.before[0] == pytest.approx(s / n)
    assert found.changed[0] == (expected.statistic > expected.threshold)


def test_ten_outcomes_on_either_side_are_needed() -> None:
    rest: Slice = {("other", "simple"): of(50, 25)}
    few: list[Slice] = [{PAIR: of(9, 9), **rest}, {PAIR: of(400, 0), **rest}, rest]
    assert split(few).position[0] == -1
    enough: list[Slice] = [{PAIR: of(10, 10), **rest}, {PAIR: of(400, 0), **rest}, rest]
    assert split(enough).position[0] == 1
    assert split(enough).changed[0]


def test_outcomes_before_the_window_are_ignored() -> None:
    slices = steps((20, 0.9), (20, 0.5))
    assert split(slices, starts=[20]).changed.tolist() == [False]
    late = split(slices, starts=[10])
    assert (late.changed.tolist(), late.position.tolist()) == ([True], [20])
    assert late.threshold[0] == pytest.approx(threshold(30 * 50))


def test_graded_rewards_are_measured_by_their_own_dispersion() -> None:
    slices = steps((20, 0.6), (20, 0.55))
    assert not split(slices).changed[0]
    graded = split(slices, dispersion=0.05)
    assert graded.changed[0]
    assert graded.statistic[0] == pytest.approx(20 * split(slices).statistic[0])


def common(before: float, after: float, *, of_pairs: int = 3, outcomes: int = 40) -> list[Slice]:
    """Return slices of a model whose first `of_pairs` complexities change after ten of twenty slices."""
    return [
        {
            ("m", complexity): of(
                outcomes, round(outcomes * (after if number >= 10 and column < of_pairs else before), 6)
            )
            for column, complexity in enumerate(COMPLEXITIES)
        }
        for number in range(20)
    ]


def test_a_small_change_of_all_complexities_is_found_in_the_model_as_a_whole() -> None:
    slices = common(0.9, 0.8)
    found = split(slices)
    alone = [split([{pair: of_slice[pair]} for of_slice in slices]) for pair in slices[0]]
    assert not any(each.changed[0] for each in alone), "no complexity shows it alone"
    assert found.changed.tolist() == found.whole_model.tolist() == [True] * 3
    assert found.position.tolist() == [10] * 3
    together = sum(differ(400, 360, 400, 320) for _ in range(3)) - 1.5 * 2
    assert together > threshold(2400)
    assert found.statistic.tolist() == pytest.approx([differ(400, 360, 400, 320)] * 3)
    assert found.after.tolist() == pytest.approx([0.8] * 3)


def test_a_complexity_that_has_not_changed_keeps_its_window() -> None:
    found = split(common(0.9, 0.78, of_pairs=2))
    assert found.changed.tolist() == [True, True, False]


def test_two_small_drops_that_are_too_small_together_are_not_a_change() -> None:
    assert not split(common(0.9, 0.86)).changed.any()


def test_a_model_is_examined_as_a_whole_even_if_each_pair_has_few_outcomes() -> None:
    rest: Slice = {("other", "simple"): of(60, 30)}
    slices: list[Slice] = [
        {**rest, **{("m", complexity): of(3, 3 if number < 2 else 0) for complexity in COMPLEXITIES}}
        for number in range(5)
    ]
    found = split(slices)
    columns = [column for column, (model, _) in enumerate(evidence_of(slices).pairs) if model == "m"]
    assert found.whole_model[columns].all()
    assert found.position[columns].tolist() == [2] * 3


def test_without_a_boundary_no_change_is_found() -> None:
    found = split([{PAIR: of(20, 20)}])
    assert (found.position.tolist(), found.changed.tolist(), found.statistic.tolist()) == ([-1], [False], [0.0])
    assert split([]).position.tolist() == []


def test_constant_rates_raise_no_alarm() -> None:
    """Search after every 50 outcomes of the fleet, as the learner does, over 120,000 outcomes of nine pairs."""
    rng = np.random.default_rng(7)
    rates = {
        (model, complexity): rate
        for model, rate in zip("abc", (0.95, 0.7, 0.4), strict=True)
        for complexity in COMPLEXITIES
    }
    evidence = evidence_of([])
    for number in range(2400):
        counts = rng.multinomial(50, [1 / 9] * 9)
        sums = {
            pair: of(int(n), int(rng.binomial(n, rate)))
            for (pair, rate), n in zip(rates.items(), counts, strict=True)
            if n
        }
        evidence.append(number + 1, evidence_of([{}]).opened_at[0], sums)
        assert not find_changes(evidence, np.zeros(len(evidence.pairs), dtype=np.int64), 1.0).changed.any(), number
