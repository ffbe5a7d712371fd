"""Quarantine: lying instances are excluded, honest ones stay, and at most a third of a fleet is excluded."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.adaptive_by_hand import differ

from centralcloud.learning.evidence import RecentOutcomes
from centralcloud.learning.rules.quarantine import differing_instances

PAIRS = [(model, complexity) for model in "abc" for complexity in ("simple", "medium", "complex")]
TRUTH = dict(zip(PAIRS, (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2), strict=True))
Sent = dict[tuple[str, tuple[str, str]], tuple[float, float]]


def fleet(honest: int, *, liars: int = 0, outcomes: int = 40, volume: int = 1) -> Sent:
    """Return reports: honest instances report the truth, liars the opposite; a liar reports `volume` times as much."""
    rng = np.random.default_rng(3)
    sent: Sent = {}
    for number in range(honest + liars):
        liar = number >= honest
        for pair, rate in TRUTH.items():
            n = outcomes * (volume if liar else 1)
            sent[f"{'liar' if liar else 'honest'}-{number}", pair] = (n, rng.binomial(n, 1 - rate if liar else rate))
    return sent


def names(sent: Sent) -> list[str]:
    return [found.instance_id for found in differing_instances(RecentOutcomes.of(sent))]


def excess(sent: Sent, instance: str, out: set[str]) -> tuple[float, int]:
    """Return L - 12 - k of an instance among those that are not excluded, calculated step by step."""
    ratio, pairs = 0.0, 0
    for pair in {pair for _, pair in sent}:
        n, s = sent.get((instance, pair), (0.0, 0.0))
        rest = [
            sent.get((other, pair), (0.0, 0.0))
            for other, _ in {(i, 0) for i, _ in sent}
            if other not in {instance, *out}
        ]
        n_rest, s_rest = (sum(column) for column in zip(*rest, strict=True)) if rest else (0.0, 0.0)
        if n >= 5 and n_rest >= 10:
            ratio += differ(n, s, n_rest, s_rest)
            pairs += 1
    return ratio - 12 - pairs, pairs


def test_an_honest_fleet_keeps_every_instance() -> None:
    assert names(fleet(10)) == []


@pytest.mark.parametrize("volume", [1, 11])
def test_a_lying_instance_is_excluded_whatever_its_volume(volume: int) -> None:
    assert names(fleet(9, liars=1, volume=volume)) == ["liar-9"]


def test_only_the_three_that_collude_are_excluded() -> None:
    assert sorted(names(fleet(7, liars=3))) == ["liar-7", "liar-8", "liar-9"]


def test_at_most_a_third_of_the_fleet_is_excluded() -> None:
    assert len(names(fleet(4, liars=4))) == 3
    assert len(names(fleet(3, liars=2))) <= 2


def test_fewer_than_four_reporting_instances_are_not_compared() -> None:
    assert names(fleet(2, liars=1, outcomes=400)) == []
    silent: Sent = {("silent", PAIRS[0]): (0.0, 0.0), **fleet(2, liars=1, outcomes=400)}
    assert names(silent) == []
    assert names(fleet(3, liars=1, outcomes=400)) == ["liar-3"]


def test_pairs_with_too_few_outcomes_do_not_count() -> None:
    sent = {(f"i-{n}", PAIRS[0]): (100.0, 90.0) for n in range(4)}
    sent |= {("i-0", pair): (4.0, 0.0) for pair in PAIRS[1:]}
    sent |= {(f"i-{n}", pair): (400.0, 400.0) for n in (1, 2, 3) for pair in PAIRS[1:]}
    assert names(sent) == []
    alone = {(f"i-{n}", PAIRS[0]): (100.0, 90.0) for n in range(4)} | {("i-0", PAIRS[1]): (500.0, 0.0)}
    alone |= {(f"i-{n}", PAIRS[1]): (3.0, 3.0) for n in (1, 2, 3)}
    assert names(alone) == [], "nine outcomes of the others are too few to be compared with"


def test_an_instance_that_agrees_again_is_no_longer_excluded() -> None:
    sent = fleet(9, liars=1)
    assert names(sent) == ["liar-9"]
    agreeing = {key: value for key, value in sent.items() if key[0] != "liar-9"} | {
        ("liar-9", pair): sent["honest-0", pair] for pair in PAIRS
    }
    assert names(agreeing) == []


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 60), st.integers(0, 100)), min_size=4, max_size=4), min_size=4, max_size=8
    )
)
def test_instances_are_excluded_one_by_one_the_most_different_first(rows: list[list[tuple[int, int]]]) -> None:
    sent: Sent = {
        (f"i-{number}", PAIRS[column]): (float(n), float(round(n * percent / 100)))
        for number, row in enumerate(rows)
        for column, (n, percent) in enumerate(row)
    }
    reporting = sum(any(n for n, _ in row) for row in rows)
    out: set[str] = set()
    for found in differing_instances(RecentOutcomes.of(sent)):
        assert len(out) < reporting / 3
        by_hand = {
            f"i-{number}": excess(sent, f"i-{number}", out) for number in range(len(rows)) if f"i-{number}" not in out
        }
        assert found.excess == pytest.approx(max(value for value, _ in by_hand.values()), abs=1e-6)
        assert (found.excess, found.pairs) == (
            pytest.approx(by_hand[found.instance_id][0], abs=1e-6),
            by_hand[found.instance_id][1],
        )
        out.add(found.instance_id)
    if reporting >= 4 and len(out) < reporting / 3:
        left = [f"i-{number}" for number in range(len(rows)) if f"i-{number}" not in out]
        assert max(excess(sent, name, out)[0] for name in left) <= 1e-6


def test_any_number_of_instances_is_compared_in_bounded_time() -> None:
    instances = 10_000
    outcomes = np.full((instances, 4), 20.0)
    outcomes[:50] = 40.0
    reward = np.where(np.arange(instances)[:, None] % 2, 19.0, 1.0) * np.ones((1, 4))
    reward[:50] = 20.0
    names = tuple(f"i-{n:05}" for n in range(instances))
    pairs = tuple((f"m-{n}", "simple") for n in range(4))
    began = time.process_time()
    found = differing_instances(RecentOutcomes(names, pairs, outcomes, reward))
    assert time.process_time() - began < 10, "the whole fleet against each instance took minutes"
    assert 0 < len(found) <= 1000
