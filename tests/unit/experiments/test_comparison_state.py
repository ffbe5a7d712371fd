"""The evidence about a treatment as bytes: nothing is lost, and what cannot be read is refused in one line."""

import struct

import numpy as np
import pytest

from centralcloud.contracts.canary import CanaryPlan
from centralcloud.experiments.comparison_state import Comparison, ComparisonStateError, read_comparison
from centralcloud.experiments.e_process import Sessions

_PLAN = CanaryPlan()


def _comparison() -> Comparison:
    comparison = Comparison(_PLAN)
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 4, (50, 6, 3)).astype(float)
    x = counts * rng.random((50, 6, 3))
    sessions = Sessions(rng.random((50, 6)) < 0.5, np.full((50, 6), 0.5), counts, x, (x * x).sum(axis=-1))
    comparison.intervals.fold(sessions)
    part = Sessions(*(each[:, :3] for each in sessions))
    comparison.canary.fold_parts(part, promotion=part, rollback=part)
    comparison.canary.begin_step(0, 1)
    comparison.canary.close_window()
    comparison.sample_ratio.fold(sessions.treated[:, :1], sessions.share[:, :1])
    comparison.bad_minutes = np.array([[5, 1], [9, 3]])
    comparison.usual = comparison.usual._replace(sessions=300, failed=7)
    comparison.expect_rewards()
    return comparison


def test_bytes_hold_everything() -> None:
    comparison = _comparison()
    state = comparison.to_bytes()
    again = read_comparison(_PLAN, state)
    assert again.to_bytes() == state
    assert again.canary.facts() == comparison.canary.facts()
    assert (again.usual, again.is_graded) == (comparison.usual, True)
    assert again.bad_minutes.tolist() == [[5, 1], [9, 3]]
    assert read_comparison(_PLAN, Comparison(_PLAN).to_bytes()).is_graded is False


def test_the_largest_state_fits_the_table() -> None:
    comparison = Comparison(CanaryPlan(steps=tuple(share / 25 for share in range(1, 11))))
    comparison.bad_minutes = np.ones((5000, 2), dtype=np.int64)
    assert len(comparison.to_bytes()) <= 65_536


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (b"", "found no byte, expected format 1"),
        (b"\x02abc", "found format 2, expected format 1: a newer version of CentralCloud has written it, run that one"),
        (b"\x01abc", "found 4 bytes"),
        (_comparison().to_bytes()[:-8], "expected"),
        (Comparison(CanaryPlan(steps=(0.5,))).to_bytes(), "restore it from a backup"),
        (Comparison(_PLAN).to_bytes()[:9] + struct.pack("<d", float("nan")) + Comparison(_PLAN).to_bytes()[17:], "NaN"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(state: bytes, message: str) -> None:
    with pytest.raises(ComparisonStateError, match=message) as refused:
        read_comparison(_PLAN, state)
    assert "\n" not in str(refused.value)
