"""Intervals that hold at any time: they cover the true rate at every number of outcomes, though the unlucky stay untried."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centralcloud.learning.evidence import Evidence, Sums
from centralcloud.learning.rule import States, wilson_interval
from centralcloud.learning.rules import AdaptiveRule, AdaptiveSettings
from centralcloud.learning.rules.confidence_sequence import anytime_interval

BANDS = (0, 1, 2, 3, 5, 8, 12, 20, 35, 60, 120, 10_000)


def interval(outcomes: float, reward: float, squares: float | None = None) -> tuple[float, float]:
    low, high = anytime_interval(
        *(np.array([float(x)]) for x in (outcomes, reward, reward if squares is None else squares))
    )
    return float(low[0]), float(high[0])


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 3000), st.floats(0, 1))
def test_the_ends_are_where_the_outcomes_are_a_tenth_as_likely_as_under_all_rates(outcomes: int, share: float) -> None:
    successes = round(outcomes * share)
    failures = outcomes - successes
    mixture = math.lgamma(successes + 0.5) + math.lgamma(failures + 0.5) - math.lgamma(outcomes + 1) - math.log(math.pi)
    low, high = interval(outcomes, successes)
    assert 0 <= low <= successes / outcomes <= high <= 1
    for end, has_end in ((low, successes > 0), (high, failures > 0)):
        if has_end and 1e-4 < end < 1 - 1e-4:
            found = successes * math.log(end) + failures * math.log(1 - end)
            assert found == pytest.approx(mixture + math.log(0.1), abs=outcomes * 1e-5 + 1e-3)
        elif not has_end:
            assert end in (0, 1)


def test_without_outcomes_every_rate_is_possible() -> None:
    assert interval(0, 0) == (0, 1)


def test_it_is_about_1_7_times_as_wide_as_an_interval_for_a_fixed_number() -> None:
    for outcomes, successes in ((30, 21), (100, 70), (300, 240)):
        low, high = interval(outcomes, successes)
        fixed = wilson_interval(successes, outcomes, 1.645)
        assert 1.5 < (high - low) / (fixed[1] - fixed[0]) < 2


def test_graded_outcomes_that_scatter_little_give_a_narrow_interval() -> None:
    low, high = interval(100, 70, 49.2)  # variance 0.002
    assert high - low < 0.5 * np.subtract(*interval(100, 70)[::-1])
    few = np.subtract(*interval(3, 2.1, 1.48)[::-1])
    assert few > 0.8 * np.subtract(*interval(3, 2.1)[::-1]), "three outcomes do not show how much they scatter"


def coverage(seeds: range, *, graded: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Route tasks by Thompson sampling on the scores of the rule; an unlucky model is not tried again.

    Returns:
        By band of the number of outcomes: the intervals seen, the share of them that cover the true rate, and that share of
        Wilson intervals for a fixed number of outcomes.
    """
    counts = np.zeros((3, len(BANDS)))
    for seed in seeds:
        random = np.random.default_rng(seed)
        rates = random.beta(4, 2, 12)
        pairs = [(f"m{number}", "simple") for number in range(len(rates))]
        rule, evidence = AdaptiveRule(AdaptiveSettings(latency_weight=0)), Evidence()
        states: States = {}
        alpha, beta, probe = np.ones(len(rates)), np.ones(len(rates)), np.zeros(len(rates))
        for tick in range(25):
            draws = random.beta(alpha, beta, (40, len(rates))).argmax(axis=1)
            probes = random.choice(len(rates) + 1, 40, p=[*probe, 1 - probe.sum()])
            chosen = np.where(probes < len(rates), probes, draws)
            succeeded = (random.random(40) < rates[chosen]).astype(float)
            reward = random.beta(8 * rates[chosen], 8 * (1 - rates[chosen])) if graded else succeeded
            n, s, ss = (np.bincount(chosen, weights, len(rates)) for weights in (None, reward, reward**2))
            evidence.append(
                tick + 1,
                datetime(2026, 1, 1, tzinfo=UTC),
                {
                    pair: Sums(outcomes=n[i], successes=s[i], reward=s[i], reward_squares=ss[i])
                    for i, pair in enumerate(pairs)
                },
            )
            result = rule.evaluate(evidence, states)
            states = result.states
            for i, score in enumerate(result.scores):
                (alpha[i], beta[i]), probe[i] = score.estimate.beta, score.estimate.probe_share
                band = np.searchsorted(BANDS, score.samples, side="right") - 1
                low, high = score.estimate.interval
                fixed = wilson_interval(score.samples * (score.success_rate or 0.0), score.samples, 1.645)
                counts[:, band] += 1, low <= rates[i] <= high, fixed[0] <= rates[i] <= fixed[1]
    seen = np.maximum(counts[0], 1)
    return counts[0], counts[1] / seen, counts[2] / seen


@pytest.mark.parametrize("graded", [False, True])
def test_intervals_cover_the_truth_at_every_number_of_outcomes_though_unlucky_ones_are_not_tried_again(
    graded: bool,
) -> None:
    seen, covered, covered_by_fixed = coverage(range(8 if graded else 16), graded=graded)
    enough = seen >= 100
    assert enough.sum() >= 6
    assert (covered[enough] >= 0.9).all(), dict(zip(BANDS, covered.round(3).tolist(), strict=True))
    assert graded or covered_by_fixed[enough].min() < 0.85, "an interval for a fixed number of outcomes does not"
