"""The probability of the largest quantity: compared with closed forms, a fine integration, and simulation."""

import math
import random
from collections import Counter
from itertools import count
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from centralcloud.contracts.model_choice.best_probability import BetaPosterior, FixedValue, probability_best


def posterior(mean: float, n_eff: float, shift: float = 0.0) -> BetaPosterior:
    return BetaPosterior(mean * n_eff, (1 - mean) * n_eff, shift)


def simulated(quantities: list[FixedValue | BetaPosterior], draws: int, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    wins: Counter[int] = Counter()
    for _ in range(draws):
        drawn = [
            one.value if isinstance(one, FixedValue) else rng.betavariate(one.alpha, one.beta) + one.shift
            for one in quantities
        ]
        best = max(drawn)
        wins[rng.choice([number for number, value in enumerate(drawn) if value == best])] += 1
    return [wins[number] / draws for number in range(len(quantities))]


@pytest.mark.parametrize(
    "parameters", [(1, 1), (2, 1), (0.2, 0.2), (0.2, 3, 1), (50, 20, 1, 0.5), (1e6, 3e6), (1e6, 1), tuple(range(1, 21))]
)
@pytest.mark.parametrize("shift", [0.0, -0.3])
def test_powers_of_uniform_numbers_win_in_proportion(parameters: tuple[float, ...], shift: float) -> None:
    """Beta(k, 1) is U^(1/k), and -log U is exponential: the least of exponentials is known in closed form."""
    chances = probability_best([BetaPosterior(k, 1, shift) for k in parameters])
    assert chances == pytest.approx([k / sum(parameters) for k in parameters], abs=0.001)


@pytest.mark.parametrize("penalty", [0.0, 0.02, 0.5, 0.98])
def test_a_penalty_shifts_a_uniform_posterior(penalty: float) -> None:
    _, chance = probability_best([BetaPosterior(1, 1), BetaPosterior(1, 1, -penalty)])
    assert chance == pytest.approx((1 - penalty) ** 2 / 2, abs=0.001)


@pytest.mark.parametrize("difference", [0.0, 0.0002, 0.001, 0.01])
@pytest.mark.parametrize("n_eff", [1e4, 1e6])
def test_much_evidence_is_as_good_as_a_normal_distribution(difference: float, n_eff: float) -> None:
    sigma = math.sqrt(2 * 0.8 * 0.2 / n_eff)
    chance, _ = probability_best([posterior(0.8, n_eff), posterior(0.8, n_eff, -difference)])
    assert chance == pytest.approx(NormalDist().cdf(difference / sigma), abs=0.001)


@pytest.mark.parametrize(
    "quantities",
    [
        [posterior(0.8, 1e6), posterior(0.8, 2)],
        [posterior(0.9, 2), posterior(0.9, 2), posterior(0.1, 2), posterior(0.5, 2)],
        [posterior(0.99, 2, -0.01), posterior(0.995, 2, -0.0137), posterior(0.9, 2), FixedValue(0.93)],
        [posterior(0.02, 2), posterior(0.03, 2, 0.003), posterior(0.025, 2, 0.001)],
        [posterior(0.84 + 0.002 * number, 1200, -0.01 * number) for number in range(5)],
        [FixedValue(0.5), FixedValue(0.5), posterior(0.1, 2), posterior(0.4, 30)],
        [posterior(0.7 + 0.012 * number, 20 + 200 * (number % 7), -0.01 * (number % 5)) for number in range(20)],
        [posterior(0.5 + 0.02 * number, 0.6 + number % 4) for number in range(20)],
    ],
    ids=[
        "sharp and vague",
        "newcomers",
        "near one",
        "near zero",
        "close",
        "fixed values",
        "twenty",
        "twenty newcomers",
    ],
)
def test_probabilities_are_the_frequencies_of_a_simulation(quantities: list[FixedValue | BetaPosterior]) -> None:
    chances = probability_best(quantities)
    assert chances == pytest.approx(integrated(quantities), abs=0.001)
    assert chances == pytest.approx(simulated(quantities, 15_000), abs=0.02)


def integrated(quantities: list[FixedValue | BetaPosterior]) -> list[float]:
    """Return the probabilities by integration over some 10,000 cells: accurate to 1e-6, and a hundred times as slow."""
    cumulative, grid = {}, []
    floor = max((one.value for one in quantities if isinstance(one, FixedValue)), default=-math.inf)
    for number, one in enumerate(quantities):
        if isinstance(one, BetaPosterior):
            y, values = distribution_of_logit(one)
            cumulative[number] = y, values
            grid.append(sigmoid(y[:: max(1, len(quantities) // 4)]) + one.shift)
    xs = np.unique(np.concatenate(grid))
    xs = np.concatenate([[floor], xs[xs > floor]]) if floor > -math.inf else xs
    columns = []
    for number, (y, values) in cumulative.items():
        theta = np.clip(xs - quantities[number].shift, 0, 1)
        with np.errstate(divide="ignore"):
            columns.append(np.interp(np.log(theta) - np.log1p(-theta), y, values, left=0, right=1))
    rises = np.diff(columns, axis=1)
    chances = np.zeros(len(quantities))
    for position in (0.5 - math.sqrt(1 / 12), 0.5 + math.sqrt(1 / 12)):
        middle = np.array(columns)[:, :-1] + position * rises
        for number, row in zip(cumulative, count(), strict=False):
            others = np.prod(np.delete(middle, row, axis=0), axis=0)
            chances[number] += np.sum(rises[row] * others) / 2
    largest = [number for number, one in enumerate(quantities) if isinstance(one, FixedValue) and one.value == floor]
    for number in largest:
        chances[number] = np.prod(np.array(columns)[:, 0]) / len(largest)
    return list(chances / chances.sum())


def distribution_of_logit(one: BetaPosterior) -> tuple[np.ndarray, np.ndarray]:
    sigma = math.sqrt(1 / one.alpha + 1 / one.beta)
    widths = np.linspace(0, 1, 1500) ** 3
    far = [side * (9 * sigma + 30 / parameter) for side, parameter in ((-1, one.alpha), (1, one.beta))]
    y = math.log(one.alpha / one.beta) + np.concatenate([far[0] * widths[:0:-1], far[1] * widths])
    density = one.alpha * y - (one.alpha + one.beta) * np.logaddexp(0, y)
    density = np.exp(density - density.max())
    slope = density * (one.alpha - (one.alpha + one.beta) * sigmoid(y))
    width = np.diff(y)
    masses = width * (density[1:] + density[:-1]) / 2 - width**2 * np.diff(slope) / 12
    values = np.concatenate([[0.0], np.cumsum(np.maximum(masses, 0))])
    return y, values / values[-1]


def sigmoid(y: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(y, -700, 700)))


def a_set(rng: random.Random, kind: str, n_eff: float) -> list[FixedValue | BetaPosterior]:
    if kind == "learned":
        return [posterior(rng.uniform(0.7, 0.95), n_eff * rng.uniform(0.5, 2), -rng.uniform(0, 0.1)) for _ in range(20)]
    if kind == "close":
        return [posterior(0.85 + 0.2 * rng.uniform(-0.5, 0.5) / math.sqrt(n_eff), n_eff) for _ in range(20)]
    if kind == "near one":
        return [posterior(rng.uniform(0.97, 0.999), n_eff, -rng.uniform(0, 0.02)) for _ in range(20)]
    mixed = [posterior(rng.uniform(0.5, 0.98), 10 ** rng.uniform(0, 5), -rng.uniform(0, 0.2)) for _ in range(12)]
    return [*mixed, *[FixedValue(rng.uniform(0.6, 0.9)) for _ in range(kind == "with fixed values")]]


@pytest.mark.parametrize("kind", ["learned", "close", "near one", "mixed", "with fixed values"])
@pytest.mark.parametrize("n_eff", [1, 3, 10, 50, 500, 5_000, 100_000])
def test_probabilities_are_those_of_a_fine_integration(kind: str, n_eff: float) -> None:
    quantities = a_set(random.Random(f"{kind} {n_eff}"), kind, n_eff)
    assert probability_best(quantities) == pytest.approx(integrated(quantities), abs=0.001)


def test_the_fine_integration_is_exact_where_the_result_is_known() -> None:
    assert integrated([BetaPosterior(k, 1) for k in range(1, 21)]) == pytest.approx(
        [k / 210 for k in range(1, 21)], abs=1e-6
    )


QUANTITIES = st.lists(
    st.builds(FixedValue, st.floats(0, 1))
    | st.builds(posterior, st.floats(0.05, 0.95), st.floats(0.31, 6).map(lambda x: 10**x), st.floats(-0.2, 0.1)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(QUANTITIES)
def test_probabilities_of_any_quantities_are_the_frequencies_of_a_simulation(
    quantities: list[FixedValue | BetaPosterior],
) -> None:
    draws = 5000
    for chance, share in zip(probability_best(quantities), simulated(quantities, draws), strict=True):
        assert abs(chance - share) < 0.003 + 6 * math.sqrt(max(chance * (1 - chance), 1 / draws) / draws)


@settings(deadline=None)
@given(
    st.lists(
        st.builds(FixedValue, st.floats(-1, 5))
        | st.builds(posterior, st.floats(0, 1), st.floats(1e-6, 9e18), st.floats(-1, 100)),
        min_size=1,
        max_size=5,
    )
)
@example([posterior(0.0, 7.0, 11.0), posterior(1.0, 11.0, 11.0)])  # one was -1.7e-11
def test_probabilities_add_up_to_one(quantities: list[FixedValue | BetaPosterior]) -> None:
    chances = probability_best(quantities)
    assert sum(chances) == pytest.approx(1, abs=1e-12)
    assert all(0 <= chance <= 1 for chance in chances)


def test_equal_fixed_values_share_and_lower_ones_get_nothing() -> None:
    assert probability_best([FixedValue(0.4), FixedValue(0.7), FixedValue(0.7)]) == [0, 0.5, 0.5]


def test_a_quantity_that_cannot_be_the_largest_gets_nothing() -> None:
    chances = probability_best(
        [posterior(0.9, 10_000), posterior(0.5, 10_000), posterior(0.9, 10_000, -0.3), FixedValue(0.8)]
    )
    assert chances == [1, 0, 0, 0]
