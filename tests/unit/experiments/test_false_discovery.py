"""Many experiments at once: e-BH."""

import math

import pytest

from centralcloud.experiments.false_discovery import discoveries, two_sided


def test_one_comparison_needs_one_over_the_rate() -> None:
    assert discoveries({"a": math.log(10)}, 0.1) == {"a"}
    assert discoveries({"a": math.log(9.99)}, 0.1) == frozenset()
    assert discoveries({}, 0.1) == frozenset()


def test_strong_ones_help_the_weaker_ones() -> None:
    """The largest of 20 comparisons needs 200 alone; four of 50 each are found together."""
    nothing = {f"n{number}": 0.0 for number in range(16)}
    strong = {f"s{number}": math.log(50) for number in range(4)}
    assert discoveries({**nothing, **strong}, 0.1) == set(strong)
    assert discoveries({**nothing, "s0": math.log(50)}, 0.1) == frozenset()


def test_two_sides_are_averaged() -> None:
    assert two_sided(math.log(30), math.log(10)) == pytest.approx(math.log(20))
    assert two_sided(1000.0, -1000.0) == pytest.approx(1000 - math.log(2))
    assert two_sided(-math.inf, -math.inf) == -math.inf
