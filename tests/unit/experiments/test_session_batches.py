"""Decisions become sessions: the same ones in the same order, however the decisions are divided into batches."""

import numpy as np
import pytest

from centralcloud.experiments.e_process import EProcess, Metric, Sessions
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
    return OpenSessions(none, none, none, none, none * 1.0, none > 0, none > 0, none, np.zeros(0, dtype=outcome_type()))


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
        known = _stored(known, found.changed)
        since = until
    return folded, set(known.key[~known.has_ended].tolist())


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


def _stored(known: OpenSessions, changed: OpenSessions) -> OpenSessions:
    """Return the table after a batch: rows are inserted or replaced."""
    rows = {}
    for sessions in (known, changed):
        ends = np.cumsum(sessions.counts)
        for place, key in enumerate(sessions.key.tolist()):
            outcomes = sessions.outcomes[ends[place] - sessions.counts[place] : ends[place]]
            rows[key] = (*(each[place] for each in sessions[1:8]), outcomes)
    if not rows:
        return _nothing()
    keys = sorted(rows)
    columns = [np.array([rows[key][column] for key in keys]) for column in range(7)]
    outcomes = np.concatenate([rows[key][7] for key in keys])
    return OpenSessions(np.array(keys, dtype=np.int64), *columns, outcomes)


@pytest.fixture(scope="module")
def traffic() -> Decisions:
    """Two hours: long and short sessions, requests of their own, arms that change, sessions that are not compared."""
    rng = np.random.default_rng(1)
    size = 3000
    at = np.sort(rng.integers(0, _MINUTES * _MINUTE, size))
    key = np.where(rng.random(size) < 0.5, rng.integers(0, 20, size), rng.integers(20, 900, size))
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
    assert len(at_once[0]) > 500, "most are requests of their own"
    assert len(at_once[1]) > 50
    assert _fold_in([*range(length, _MINUTES, length), _MINUTES], traffic) == at_once


def test_a_session_is_folded_at_its_twentieth_outcome_and_later_ones_are_left_out() -> None:
    decisions = _decisions(list(range(0, 250, 10)), [7] * 25, [0] * 25, [0.5] * 25, [False] * 25)
    folded, still_open = _fold_in([4, 5], decisions)
    assert folded == [(3, 0, 0.5, tuple(range(20)))]
    assert still_open == {7}, "it is known until it is idle, so that it does not begin again"
    assert _fold_in([4, 5, 15], decisions) == (folded, set())


def test_a_session_is_folded_once_it_is_idle_and_never_again() -> None:
    decisions = _decisions([0, 100, 700, 800, 2000], [7] * 5, [CONTROL] * 5, [0.5] * 5, [False] * 5)
    assert _fold_in([11], decisions) == ([], {7})
    for batches in ([12, 40, 60], [60], [11, 12, 13, 60]):
        assert _fold_in(batches, decisions) == ([(11, CONTROL, 0.5, (0.0, 1.0))], set())
    found = assemble(decisions, _nothing(), Clock(_MINUTE, _IDLE, 60 * _MINUTE))
    assert found.returned.tolist() == [False, False, True, True, True]
    assert found.begun.tolist() == [True, False, False, False, False]


def test_a_session_that_ended_without_being_compared_is_not_compared_when_it_returns() -> None:
    """It stayed with control between two shares: on its return it would be treated for certain, not by chance."""
    decisions = _decisions([0, 700], [7] * 2, [CONTROL, 0], [np.nan, 0.5], [False] * 2)
    for batches in ([60], [5, 60], [11, 60]):
        assert _fold_in(batches, decisions) == ([], set())


def test_names_that_return_give_the_e_process_one_draw_each() -> None:
    """A hundred names over 3,000 visits, alike in both arms: each visit as a draw would declare a difference too often."""
    evidence = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        arms, rates = rng.permutation([0, CONTROL] * 50), rng.uniform(0.4, 1.0, 100)
        keys = np.concatenate([rng.permutation(100) for _ in range(30)])
        decisions = _decisions(
            list(range(0, 700 * 3000, 700)), keys.tolist(), arms[keys].tolist(), [0.5] * 3000, [False] * 3000
        )
        decisions.outcomes["x"] = rng.random(3000) < rates[keys]
        since, process, draws, known = 0, EProcess([Metric()], strata=1, nulls=(0.0,)), 0, _nothing()
        for until in (20_000, 36_000):
            chosen = (decisions.at >= since * _MINUTE) & (decisions.at < until * _MINUTE)
            part = Decisions(*(each[chosen] for each in decisions))
            found = assemble(part, known, Clock(_MINUTE, _IDLE, until * _MINUTE))
            known, since, draws = _stored(known, found.changed), until, draws + len(found.folded.arm)
            x = found.folded.outcomes["x"][:, None, None]
            shape = (len(x), 1)
            process.fold(Sessions((found.folded.arm == 0)[:, None], np.full(shape, 0.5), np.ones_like(x), x, x[..., 0]))
        assert draws == 100
        evidence.append(max(process.log_above()[0, 0], process.log_below()[0, 0]))
    assert max(evidence) < np.log(2 / 0.05)


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
        np.zeros(1, dtype=bool),
        np.zeros(1, dtype=np.int64),
        np.zeros(0, dtype=outcome_type()),
    )


def test_the_first_decision_fixes_arm_and_share_also_where_the_prompt_guard_saw_a_later_one_before() -> None:
    decisions = _decisions([0, 70], [7, 7], [CONTROL, 0], [np.nan, 0.5], [False, False])
    known = _stored_promptly(70, 0, 0.5)
    found = assemble(decisions, known, Clock(_MINUTE, _IDLE, 30 * _MINUTE))
    assert found.changed.has_ended.tolist() == [True]
    assert _listed(found.folded) == [], "a step has moved it: it is not compared"
    begins_compared = decisions._replace(share=np.array([0.5, np.nan]), arm=np.array([0, CONTROL]))
    found = assemble(begins_compared, _stored_promptly(70, CONTROL, np.nan), Clock(_MINUTE, _IDLE, 30 * _MINUTE))
    assert _listed(found.folded) == [(11, 0, 0.5, (0.0,))]


def test_a_session_whose_decisions_came_too_late_to_be_folded_has_ended() -> None:
    nothing = _decisions([], [], [], [], [])
    found = assemble(nothing, _stored_promptly(70, 0, 0.5), Clock(_MINUTE, _IDLE, 30 * _MINUTE))
    assert (_listed(found.folded), found.changed.has_ended.tolist()) == ([], [True])
