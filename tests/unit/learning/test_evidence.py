"""Evidence: the sums of any range equal those of its slices, in whatever steps it has grown."""

import math
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centralcloud.learning.evidence import BOUNDARY_OUTCOMES, FIELDS, Evidence, RecentOutcomes, Sums

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PAIRS = [(model, complexity) for model in "abcdef" for complexity in ("simple", "complex")]
COUNTS = st.integers(0, 1000).map(float)
SLICES = st.lists(
    st.dictionaries(st.sampled_from(PAIRS), st.builds(Sums, **dict.fromkeys(FIELDS, COUNTS)), max_size=6),
    min_size=1,
    max_size=40,
)


def grown(slices: list[dict], *, gap: int = 1) -> Evidence:
    evidence = Evidence()
    for number, sums in enumerate(slices, 1):
        evidence.append(number * gap, NOON, sums)
    return evidence


def naive(slices: list[dict], name: str, pair: tuple[str, str]) -> float:
    return sum(getattr(sums[pair], name) for sums in slices if pair in sums)


@settings(deadline=None, max_examples=60)
@given(SLICES, st.data())
def test_the_sums_of_any_range_equal_those_of_its_slices(slices: list[dict], data: st.DataObject) -> None:
    evidence = grown(slices)
    assert set(evidence.pairs) == {pair for sums in slices for pair in sums}
    position = data.draw(st.integers(0, len(slices)))
    starts = [data.draw(st.integers(0, len(slices))) for _ in evidence.pairs]
    for name in FIELDS:
        since = evidence.since(name, np.array(starts, dtype=np.int64))
        for column, pair in enumerate(evidence.pairs):
            assert evidence.total(name)[column] == naive(slices, name, pair)
            assert evidence.total(name, position)[column] == naive(slices[:position], name, pair)
            assert since[column] == naive(slices[starts[column] :], name, pair)
        many = evidence.total(name, np.arange(len(slices) + 1))
        assert many.shape == (len(slices) + 1, len(evidence.pairs))
        assert many[position].tolist() == evidence.total(name, position).tolist()


@settings(deadline=None, max_examples=60)
@given(SLICES, st.integers(1, 4), st.data())
def test_earlier_evidence_does_not_change_when_more_is_appended(
    slices: list[dict], gap: int, data: st.DataObject
) -> None:
    through = data.draw(st.integers(0, len(slices) * gap))
    evidence = grown(slices, gap=gap)
    earlier = evidence.up_to(through)
    then = grown(slices[: through // gap], gap=gap)
    for pair in PAIRS * 3:  # more slices, and new pairs, until there is no room left where the numbers were
        evidence.append(evidence.slices[-1] + 1, NOON, {pair: Sums(outcomes=70), ("new", pair[0]): Sums(outcomes=1)})
    assert earlier.slices == then.slices
    assert earlier.size == evidence.position_after(through) == then.size
    assert earlier.boundaries(32).tolist() == then.boundaries(32).tolist()
    for name in FIELDS:
        found = dict(zip(earlier.pairs, earlier.total(name).tolist(), strict=True))
        expected = dict(zip(then.pairs, then.total(name).tolist(), strict=True))
        assert {pair: value for pair, value in found.items() if value} == {p: v for p, v in expected.items() if v}


def test_slices_must_be_appended_in_order() -> None:
    evidence = grown([{}, {}])
    with pytest.raises(ValueError, match="slice 2 after slice 2: expected a later one"):
        evidence.append(2, NOON, {})


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 130), min_size=1, max_size=60))
def test_the_newest_boundaries_are_the_first_slices_with_enough_outcomes_since_the_last(outcomes: list[int]) -> None:
    evidence = grown([{PAIRS[0]: Sums(outcomes=n / 2), PAIRS[1]: Sums(outcomes=n / 2)} for n in outcomes])
    expected, since = [], 0
    for position, n in enumerate(outcomes, 1):
        since += n
        if since >= BOUNDARY_OUTCOMES:
            expected.append(position)
            since = 0
    assert evidence.boundaries(32).tolist() == expected


@pytest.mark.parametrize("slices", [64, 500, 6000])
def test_old_boundaries_are_coarser_than_new_ones(slices: int) -> None:
    evidence = grown([{PAIRS[0]: Sums(outcomes=BOUNDARY_OUTCOMES)}] * slices)
    found = evidence.boundaries(32).tolist()
    assert found[-32:] == list(range(slices - 31, slices + 1))
    for older, newer in pairwise(found):
        assert newer - older <= max(1, (slices + 1 - older) / 32)
    assert len(found) <= 64 * math.log2(slices / 32) + 64


def test_recent_outcomes_are_a_table_of_instances_and_pairs() -> None:
    a, b = ("m", "simple"), ("m", "complex")
    recent = RecentOutcomes.of({("i-2", a): (10.0, 9.0), ("i-1", b): (4.0, 1.0), ("i-1", a): (2.0, 2.0)})
    assert recent.instances == ("i-1", "i-2")
    assert recent.pairs == (b, a)
    assert recent.outcomes.tolist() == [[4, 2], [0, 10]]
    assert recent.reward.tolist() == [[1, 2], [0, 9]]
