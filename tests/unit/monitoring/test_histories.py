"""Histories that answer in turn: a failover and a restore are normal, an old primary is not."""

from centralcloud.monitoring.history_monitor import Histories

_OLD, _NEW, _NEWEST = "7/00000001/5/g", "7/00000002/5/g", "7/0000000A/5/g"


def observed(*answers: tuple[str, float]) -> list[str | None]:
    histories = Histories()
    return [histories.observe(epoch, at) for epoch, at in answers]


def test_failovers_are_normal() -> None:
    assert observed((_OLD, 0), (_OLD, 5), (_NEW, 10), (_NEWEST, 15), (_NEWEST, 20)) == [None] * 5


def test_a_restore_is_normal() -> None:
    assert observed((_NEW, 0), ("8/00000001/5/g", 5), ("8/00000001/5/other", 10)) == [None] * 3


def test_an_old_primary_is_named_as_long_as_it_answers() -> None:
    *_, first, again = observed((_NEW, 0), (_OLD, 5), (_OLD, 10))
    assert first == again
    assert first is not None
    assert "timeline 1 answered after one with timeline 2" in first


def test_histories_in_turn_are_named_without_timelines() -> None:
    """Some managed servers hide the timeline."""
    one, other = "?/?/5/g", "?/?/6/h"
    *fine, found = observed((one, 0), (other, 5), (one, 10))
    assert fine == [None, None]
    assert found is not None
    assert f"{other} and {one} answer in turn" in found


def test_a_history_that_has_not_answered_for_an_hour_is_forgotten() -> None:
    assert observed((_NEW, 0), (_OLD, 3601), (_NEW, 7300)) == [None] * 3
