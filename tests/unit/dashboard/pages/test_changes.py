"""Published changes of scores as a list."""

from datetime import UTC, datetime, timedelta

from centralcloud.dashboard.pages.changes import page_of, row_of
from centralcloud.dashboard.sources.history import PublishedScore

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def a_change(version: int, run: int | None = None, rule: str = "adaptive", kind: str = "steady") -> PublishedScore:
    at = NOW + timedelta(minutes=version if run is None else 100 * run)
    return PublishedScore(version, at, f"m{version}", "simple", 3.0, 3.0 + version / 100, rule, kind, "why", run, False)


def newest_first(*changes: PublishedScore) -> list[PublishedScore]:
    return sorted(changes, key=lambda change: -change.version)


def test_a_run_that_changed_many_pairs_is_one_line_with_its_largest_change() -> None:
    changes = newest_first(a_change(1, 1), *(a_change(version, 2) for version in range(2, 8)))
    groups, older = page_of(changes, 10)
    assert older is None
    assert [group.title for group in groups] == ["A run of the learner changed 6 scores", ""]
    assert (groups[0].first_version, groups[0].last_version) == (2, 7)
    assert groups[0].largest.model == "m7"


def test_a_page_ends_before_a_run_that_does_not_fit() -> None:
    changes = newest_first(*(a_change(version, 1) for version in range(1, 7)), a_change(7, 2), a_change(8, 3))
    groups, older = page_of(changes[:6], 5)
    assert [row.version for group in groups for row in group.rows] == [8, 7]
    assert older == 7


def test_a_run_of_more_than_a_page_says_that_it_has_more() -> None:
    changes = newest_first(*(a_change(version, 1) for version in range(1, 10)))
    (group,), older = page_of(changes[:6], 5)
    assert group.title == "A run of the learner changed more than 5 scores"
    assert older == 5, "the next page goes on with the same run"


def test_only_the_version_that_raised_an_alarm_is_marked_as_a_sudden_change() -> None:
    since = a_change(2, 1, kind="alarm")
    assert row_of(since).title == "More outcomes"
    assert row_of(since).state == ""
    assert row_of(since._replace(alarm=True)).title == "Sudden change"
    assert row_of(since._replace(alarm=True)).state == "bad"


def test_pins_and_rollbacks_are_marked_whatever_kind_the_score_had() -> None:
    assert row_of(a_change(1, rule="rollback", kind="rollback")).title == "Rolled back"
    assert row_of(a_change(1, rule="pin", kind="renamed")).title == "Pinned"
    groups, _ = page_of(newest_first(*(a_change(v, 1)._replace(run_id=None, rule="rollback") for v in range(1, 6))), 10)
    assert groups[0].title == "A rollback changed 5 scores"


def test_a_change_says_which_way_the_score_moved() -> None:
    change = a_change(1)
    assert row_of(change).moved == "up"
    assert row_of(change._replace(new_score=2.0)).moved == "down"
    assert row_of(change._replace(new_score=3.0)).moved == ""
    assert row_of(change._replace(old_score=None)).moved == ""
