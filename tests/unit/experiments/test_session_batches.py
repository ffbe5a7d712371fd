"""Decisions become sessions: the same ones in the same order, however the decisions are divided into batches."""

import numpy as np
import pytest
from numpy.typing import NDArray

from centralcloud.experiments.session_batches import (
    ARRIVED,
    CONTROL,
    COUNTS,
    UNKNOWN,
    Clock,
    Decisions,
    FoldedSessions,
    OpenSessions,
    assemble,
    outcome_type,
)

_MINUTE, _IDLE, _MINUTES = 60, 600, 120


def _decisions(at: list[int], key: list[int], arm: list[int], share: list[float], alone: list[bool]) -> Decisions:
    outcomes = np.zeros(len(at), dtype=outcome_type())
    outcomes["minute"] = np.array(at, dtype=np.int64) // _MINUTE
    outcomes["flags"] = ARRIVED | COUNTS
    outcomes["x"] = np.arange(len(at))  # names the decision
    return Decisions(
        np.array(key, dtype=np.int64),
        np.array(at, dtype=np.int64),
        np.array(alone, dtype=bool),
        np.array(arm, dtype=np.int64),
        np.array(share, dtype=np.float64),
        outcomes,
    )


def _nothing() -> OpenSessions:
    none = np.zeros(0, dtype=np.int64)
    return OpenSessions(none, none, none, none, none * 1.0, none > 0, none, np.zeros(0, dtype=outcome_type()))


def _fold_in(batches: list[int], decisions: Decisions) -> tuple[list[tuple[object, ...]], set[int]]:
    """Fold in batches that end at these minutes; return the sessions in their order, and the keys that stay open."""
    known, folded = _nothing(), []
    since = 0
    for until in batches:
        chosen = (decisions.at >= since * _MINUTE) & (decisions.at < until * _MINUTE)
        found = assemble(
            Decisions(*(each[chosen] for each in decisions)), known, Clock(_MINUTE, _IDLE, until * _MINUTE)
        )
        folded += _listed(found.folded)
        known = _stored(known, found.open, found.ended)
        since = until
    return folded, set(known.key.tolist())


def _listed(folded: FoldedSessions) -> list[tuple[object, ...]]:
    return [
        (
            int(folded.minute[place]),
            int(folded.arm[place]),
            float(folded.share[place]),
            tuple(folded.outcomes["x"][folded.outcome_of == place].tolist()),
        )
        for place in range(len(folded.minute))
    ]


def _stored(known: OpenSessions, changed: OpenSessions, ended: NDArray[np.int64]) -> OpenSessions:
    """Return the table after a batch: rows are deleted, then inserted or replaced."""
    rows = {}
    for sessions in (known, changed):
        if sessions is changed:
            rows = {key: row for key, row in rows.items() if key not in set(ended.tolist())}
        ends = np.cumsum(sessions.counts)
        for place, key in enumerate(sessions.key.tolist()):
            outcomes = sessions.outcomes[ends[place] - sessions.counts[place] : ends[place]]
            rows[key] = (*(each[place] for each in sessions[1:7]), outcomes)
    if not rows:
        return _nothing()
    keys = sorted(rows)
    columns = [np.array([rows[key][column] for key in keys]) for column in range(6)]
    outcomes = np.concatenate([rows[key][6] for key in keys])
    return OpenSessions(np.array(keys, dtype=np.int64), *columns, outcomes)


@pytest.fixture(scope="module")
def traffic() -> Decisions:
    """Two hours: long and short sessions, requests of their own, arms that change, sessions that are not compared."""
    rng = np.random.default_rng(1)
    size = 3000
    at = np.sort(rng.integers(0, _MINUTES * _MINUTE, size))
    key = np.where(rng.random(size) < 0.5, rng.integers(0, 20, size), rng.integers(20, 400, size))
    alone = rng.random(size) < 0.2
    key[alone] = 1000 + np.arange(alone.sum())
    arm = np.where(key % 3 == 0, 0, CONTROL)
    arm = np.where(rng.random(size) < 0.05, rng.choice([0, CONTROL, UNKNOWN], size), arm)
    share = np.where(at < 3000, 0.25, 0.5)
    share[rng.random(size) < 0.05] = np.nan
    return _decisions(at.tolist(), key.tolist(), arm.tolist(), share.tolist(), alone.tolist())


@pytest.mark.parametrize("length", [1, 7, 50, _MINUTES])
def test_batches_of_any_length_give_the_same_sessions_in_the_same_order(traffic: Decisions, length: int) -> None:
    at_once = _fold_in([_MINUTES], traffic)
    assert len(at_once[0]) > 500
    assert len(at_once[1]) > 20
    assert _fold_in([*range(length, _MINUTES, length), _MINUTES], traffic) == at_once


def test_a_session_is_folded_at_its_twentieth_outcome_and_later_ones_are_left_out() -> None:
    decisions = _decisions(list(range(0, 250, 10)), [7] * 25, [0] * 25, [0.5] * 25, [False] * 25)
    folded, still_open = _fold_in([4, 5], decisions)
    assert folded == [(3, 0, 0.5, tuple(range(20)))]
    assert still_open == {7}, "it is known until it is idle, so that it does not begin again"
    assert _fold_in([4, 5, 15], decisions) == (folded, set())


def test_a_session_is_folded_once_it_is_idle_and_begins_again_after_that() -> None:
    decisions = _decisions([0, 100, 700], [7] * 3, [CONTROL] * 3, [0.5] * 3, [False] * 3)
    assert _fold_in([11], decisions) == ([], {7})
    assert _fold_in([12], decisions) == ([(11, CONTROL, 0.5, (0.0, 1.0))], {7})
    assert _fold_in([30], decisions)[0][1:] == [(21, CONTROL, 0.5, (2.0,))]


def test_outcomes_of_another_arm_or_share_than_the_first_are_left_out() -> None:
    arms, shares = [0, 0, CONTROL, 0, 0], [0.25, 0.5, 0.25, np.nan, 0.25]
    decisions = _decisions([0, 1, 2, 3, 4], [7] * 5, arms, shares, [False] * 5)
    for batches in ([30], list(range(1, 31))):
        assert _fold_in(batches, decisions) == ([(10, 0, 0.25, (0.0, 4.0))], set())


def test_a_session_that_begins_without_a_share_is_never_compared() -> None:
    decisions = _decisions([0, 70], [7, 7], [CONTROL, 0], [np.nan, 0.5], [False, False])
    for batches in ([30], [1, 2, 30]):
        assert _fold_in(batches, decisions) == ([], set())


def test_a_request_without_a_session_is_folded_in_its_minute_and_never_stored() -> None:
    decisions = _decisions([0, 61], [7, 8], [0, UNKNOWN], [0.5, 0.5], [True, True])
    assert _fold_in([2], decisions) == ([(0, 0, 0.5, (0.0,))], set())


def _stored_promptly(at: int, arm: int, share: float) -> OpenSessions:
    """The session 7, as the prompt guard stores it at its first outcome."""
    one = np.array([at], dtype=np.int64)
    return OpenSessions(
        np.array([7], dtype=np.int64),
        one,
        one,
        np.array([arm], dtype=np.int64),
        np.array([share]),
        np.zeros(1, dtype=bool),
        np.zeros(1, dtype=np.int64),
        np.zeros(0, dtype=outcome_type()),
    )


def test_the_first_decision_fixes_arm_and_share_also_where_the_prompt_guard_saw_a_later_one_before() -> None:
    decisions = _decisions([0, 70], [7, 7], [CONTROL, 0], [np.nan, 0.5], [False, False])
    known = _stored_promptly(70, 0, 0.5)
    found = assemble(decisions, known, Clock(_MINUTE, _IDLE, 30 * _MINUTE))
    assert (_listed(found.folded), found.ended.tolist()) == ([], [7]), "a step has moved it: it is not compared"
    begins_compared = decisions._replace(share=np.array([0.5, np.nan]), arm=np.array([0, CONTROL]))
    found = assemble(begins_compared, _stored_promptly(70, CONTROL, np.nan), Clock(_MINUTE, _IDLE, 30 * _MINUTE))
    assert _listed(found.folded) == [(11, 0, 0.5, (0.0,))]


def test_a_session_whose_decisions_came_too_late_to_be_folded_is_forgotten() -> None:
    nothing = _decisions([], [], [], [], [])
    found = assemble(nothing, _stored_promptly(70, 0, 0.5), Clock(_MINUTE, _IDLE, 30 * _MINUTE))
    assert (_listed(found.folded), found.ended.tolist()) == ([], [7])
