"""The price of probes, and the changes of the leader that followed them."""

from datetime import UTC, datetime, timedelta

import pytest

from centralcloud.evaluation.exploration import WEEK, Leaders, Part, ScoreChange, changes_of, weeks_of

_UNTIL = datetime(2026, 11, 29, tzinfo=UTC)
_SINCE = _UNTIL - 2 * WEEK
_DAY = timedelta(days=1)


def part(days_ago: float, model: str, outcomes: int, rate: float, *, probe: bool = False, usd: float = 0.01) -> Part:
    total = outcomes * rate
    begins = _UNTIL - days_ago * _DAY
    return Part(begins, "simple", model, probe, outcomes, total, total, outcomes, outcomes * usd, 10, _SINCE)


def change(days_ago: float, model: str, score: float, *, learned: bool = True) -> ScoreChange:
    return ScoreChange(model, "simple", score, _UNTIL - days_ago * _DAY, learned)


def test_each_week_is_compared_with_its_own_leader() -> None:
    leaders = Leaders([change(20, "a", 4.0), change(20, "b", 3.0), change(7, "b", 4.5)])
    rows = [
        part(10, "a", 100, 0.9),
        part(9, "b", 20, 0.5, probe=True, usd=0.03),
        part(3, "b", 100, 0.8),
        part(2, "a", 10, 0.9, probe=True, usd=0.005),
    ]
    later, earlier = weeks_of(rows, leaders, _SINCE, _UNTIL)
    assert (later.until, later.since, earlier.since) == (_UNTIL, _UNTIL - WEEK, _SINCE)
    assert earlier.lost == pytest.approx(20 * 0.9 - 10)
    assert earlier.extra_usd == pytest.approx(20 * 0.02)
    # The probes of the later week succeeded more often than the leader, and cost less.
    assert later.lost == pytest.approx(10 * 0.8 - 9)
    assert later.extra_usd == pytest.approx(-10 * 0.005)
    assert (earlier.probes, earlier.decisions) == (20, 120)


def test_probes_without_a_leader_to_compare_with_have_no_price() -> None:
    rows = [part(3, "a", 29, 0.9), part(2, "b", 10, 0.5, probe=True)]
    (week,) = weeks_of(rows, Leaders([change(20, "a", 4.0)]), _SINCE, _UNTIL)
    assert (week.probes, week.compared, week.lost, week.extra_usd) == (10, 0, None, None)
    (week,) = weeks_of([part(3, "a", 50, 0.9), rows[1]], Leaders([]), _SINCE, _UNTIL)
    assert week.lost is None


def test_a_cost_that_is_not_known_is_not_taken_for_nothing() -> None:
    rows = [part(3, "a", 100, 0.9), part(2, "b", 10, 0.5, probe=True)._replace(priced=9)]
    (week,) = weeks_of(rows, Leaders([change(20, "a", 4.0)]), _SINCE, _UNTIL)
    assert week.lost is not None
    assert week.extra_usd is None


def test_the_evidence_before_a_change_of_the_leader_is_counted_and_its_gain_after_it() -> None:
    leaders = Leaders([change(20, "a", 4.0), change(20, "b", 3.0), change(6, "b", 4.5), change(2, "c", 4.8)])
    rows = [
        part(7, "a", 100, 0.7), part(7, "b", 5, 0.8), part(8, "b", 15, 0.8, probe=True),
        part(15, "b", 99, 0.8, probe=True), part(5, "b", 200, 0.9), part(1, "b", 77, 0.9), part(1, "c", 10, 1.0),
    ]  # fmt: skip
    newer, older = changes_of(rows, leaders, _SINCE, _UNTIL)
    assert (older.before, older.after, older.outcomes, older.probes) == ("a", "b", 20, 15)
    assert (older.gained, older.tasks) == (pytest.approx(200 * 0.2), 200)
    assert (newer.before, newer.after, newer.gained) == ("b", "c", None)


def test_operators_ties_and_scores_of_one_moment_do_not_change_the_leader_of_a_rule() -> None:
    pinned = Leaders([change(20, "a", 4.0), change(20, "b", 3.0), change(6, "b", 4.5, learned=False)])
    assert changes_of([], pinned, _SINCE, _UNTIL) == []
    assert pinned.at("simple", _UNTIL) == "b"
    together = Leaders([change(20, "a", 4.0), change(6, "a", 3.0), change(6, "b", 2.0), change(6, "b", 2.9)])
    assert changes_of([], together, _SINCE, _UNTIL) == []
    first = Leaders([change(6, "a", 3.0), change(6, "b", 4.0)])
    assert changes_of([], first, _SINCE, _UNTIL) == []
    tied = Leaders([change(20, "a", 4.0), change(20, "b", 3.0), change(6, "b", 4.0), change(5, "a", 4.2)])
    assert tied.at("simple", _UNTIL - 5.5 * _DAY) is None
    assert changes_of([], tied, _SINCE, _UNTIL) == []
