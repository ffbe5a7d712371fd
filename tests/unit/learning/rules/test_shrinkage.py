"""Shrinkage: predictions leave the pair itself out, and are worth as much as such predictions have held."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centralcloud.learning.rules.shrinkage import predict_pairs, prior_worth, shrink

PAIRS = [(model, complexity) for model in "abcde" for complexity in ("simple", "medium", "complex")]
COUNTS = st.lists(st.tuples(st.integers(0, 300), st.floats(0, 1)), min_size=len(PAIRS), max_size=len(PAIRS))


def by_hand(counts: list[tuple[float, float]], wanted: tuple[str, str]) -> float:
    """Predict one pair by loops, as docs/explanation/learning.md says it."""
    cells = {pair: (n / (n + 4), math.log((s + 1) / (n - s + 1))) for pair, (n, s) in zip(PAIRS, counts, strict=True)}

    def level(model: str, complexity: str) -> float:
        others = {pair: cell for pair, cell in cells.items() if pair[0] != model}
        overall = sum(w * y for w, y in others.values()) / (sum(w for w, _ in others.values()) + 1)
        here = [cell for pair, cell in others.items() if pair[1] == complexity]
        return (sum(w * y for w, y in here) + overall) / (sum(w for w, _ in here) + 1)

    distances = {pair: (w, y - level(*pair)) for pair, (w, y) in cells.items()}
    within, between = 3.0, 3.0
    for one, other in itertools.permutations(PAIRS, 2):
        if one[0] == other[0]:
            (w, d), (v, e) = distances[one], distances[other]
            within += w * v * (d - e) ** 2 / 2
            between += w * v * d * e
    own = [cell for pair, cell in distances.items() if pair[0] == wanted[0] and pair != wanted]
    effect = 0.0
    if between > 0:
        effect = sum(w * d for w, d in own) / (sum(w for w, _ in own) + within / between)
    return min(max(1 / (1 + math.exp(-level(*wanted) - effect)), 0.02), 0.98)


@settings(deadline=None, max_examples=60)
@given(COUNTS)
def test_every_prediction_is_that_of_a_plain_calculation(counts: list[tuple[int, float]]) -> None:
    sums = [(n, n * rate) for n, rate in counts]
    outcomes, reward = np.array(sums, dtype=float).T
    for found, pair in zip(predict_pairs(PAIRS, reward, outcomes), PAIRS, strict=True):
        assert found == pytest.approx(by_hand(sums, pair), abs=1e-9)


def test_the_outcomes_of_a_pair_move_its_prediction_only_through_the_common_shrinkage() -> None:
    outcomes = np.full(len(PAIRS), 40.0)
    reward = np.linspace(10.0, 38.0, len(PAIRS))
    other = reward.copy()
    other[4] = 0.0
    before, after = predict_pairs(PAIRS, reward, outcomes), predict_pairs(PAIRS, other, outcomes)
    assert after[4] == pytest.approx(before[4], abs=0.05)
    assert all(before[column] > after[column] for column in (1, 3, 5, 7, 10, 13)), "same model or same complexity"


def predicted_of_a_good_model(rates: list[tuple[float, float]], outcomes: float) -> float:
    """Predict a model without `complex` tasks that does well at simple ones; `rates` are those of the others, at both."""
    pairs = [(f"model-{k}", complexity) for k in range(len(rates)) for complexity in ("simple", "complex")]
    reward = np.array([outcomes * rate for both in rates for rate in both])
    pairs += [("good", "simple"), ("good", "complex")]
    counts = np.array([outcomes] * len(reward) + [100.0, 0.0])
    return float(predict_pairs(pairs, np.array([*reward, 90.0, 0.0]), counts)[-1])


def test_a_model_is_taken_for_as_good_as_elsewhere_as_far_as_that_holds_for_the_others() -> None:
    same = predicted_of_a_good_model([(0.1, 0.1), (0.9, 0.9)] * 4, 200.0)
    unrelated = predicted_of_a_good_model([(0.1, 0.1), (0.9, 0.9), (0.1, 0.9), (0.9, 0.1)] * 2, 200.0)
    opposite = predicted_of_a_good_model([(0.1, 0.9), (0.9, 0.1)] * 4, 200.0)
    assert same > 0.85
    assert unrelated == pytest.approx(0.5, abs=0.12)
    assert opposite == pytest.approx(0.5, abs=0.01)


def test_before_other_models_differ_a_model_is_half_taken_for_as_good_as_elsewhere() -> None:
    assert predicted_of_a_good_model([], 0.0) == pytest.approx(0.75, abs=0.06)
    assert predicted_of_a_good_model([(0.5, 0.5)] * 2, 10_000.0) == pytest.approx(0.75, abs=0.06), "none differs"


def test_a_model_with_one_pair_has_a_prediction_among_models_that_are_the_same_everywhere() -> None:
    pairs = [
        *((model, complexity) for model in "abcd" for complexity in ("simple", "medium", "complex")),
        ("e", "simple"),
    ]
    outcomes = np.array([400.0] * 12 + [20.0])
    reward = np.array([396.0] * 6 + [4.0] * 6 + [10.0])
    assert predict_pairs(pairs, reward, outcomes)[-1] == pytest.approx(0.5, abs=0.01)


def test_a_good_model_at_a_hard_complexity_is_predicted_between_both() -> None:
    rates = {("a", "simple"): 0.95, ("a", "medium"): 0.9, ("b", "simple"): 0.8, ("b", "medium"): 0.6}
    rates |= {("c", "simple"): 0.8, ("c", "medium"): 0.6, ("b", "complex"): 0.3, ("c", "complex"): 0.3}
    pairs = [*rates, ("a", "complex")]
    outcomes = np.array([100.0] * len(rates) + [0.0])
    reward = np.array([100 * rate for rate in rates.values()] + [0.0])
    assert 0.4 < predict_pairs(pairs, reward, outcomes)[-1] < 0.8


def test_without_outcomes_of_others_the_prediction_is_one_half() -> None:
    none = np.zeros(2)
    assert predict_pairs([("a", "simple"), ("b", "simple")], none, none).tolist() == [0.5, 0.5]
    assert predict_pairs([("a", "simple")], np.array([30.0]), np.array([30.0])).tolist() == [0.5]
    assert predict_pairs([], np.zeros(0), np.zeros(0)).tolist() == []


def test_a_prediction_is_worth_four_outcomes_before_any_was_tested() -> None:
    assert prior_worth(np.full(9, 0.7), np.zeros(9), np.zeros(9)) == pytest.approx(4)


@pytest.mark.parametrize("true_worth", [3.0, 9.0])
def test_the_worth_is_that_of_the_distribution_of_rates(true_worth: float) -> None:
    random = np.random.default_rng(16)
    prior = random.uniform(0.3, 0.9, 3000)
    rate = random.beta(prior * true_worth, (1 - prior) * true_worth)
    outcomes = random.integers(1, 80, 3000).astype(float)
    reward = random.binomial(outcomes.astype(int), rate).astype(float)
    assert prior_worth(prior, reward, outcomes) == pytest.approx(true_worth, rel=0.1)


def test_the_worth_stays_between_2_and_16() -> None:
    prior, outcomes = np.full(100, 0.5), np.full(100, 50.0)
    assert prior_worth(prior, outcomes / 2, outcomes) == 16
    assert prior_worth(prior, np.where(np.arange(100) % 2, outcomes, 0.0), outcomes) == 2


def test_graded_outcomes_that_scatter_little_put_predictions_to_a_harder_test() -> None:
    prior, outcomes = np.full(40, 0.5), np.full(40, 5.0)
    reward = np.where(np.arange(40) % 2, 0.7, 0.3) * outcomes
    assert prior_worth(prior, reward, outcomes, np.full(40, 0.05)) < prior_worth(prior, reward, outcomes)


def test_a_prior_counts_like_its_worth_of_outcomes() -> None:
    mean, n_eff = shrink(0.7, 10.0, np.array([0.0, 30.0]), np.array([0.0, 30.0]), np.array([1.0, 0.5]))
    assert mean.tolist() == pytest.approx([0.7, 37 / 40])
    assert n_eff.tolist() == [10, 70]
