"""Times on pages."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from centralcloud.dashboard.actions.reach import at
from centralcloud.dashboard.web.times import fill_times, full, moment, relative, since

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "just now"), (-4, "just now"), (45, "45 seconds ago"), (5400, "90 minutes ago"), (-7200, "in 2 hours")],
)
def test_ages_are_words(seconds: float, text: str) -> None:
    assert relative(NOW - timedelta(seconds=seconds), NOW) == text


def test_a_kept_fragment_gets_its_ages_when_it_is_sent() -> None:
    fragment = f"<p>{since(NOW - timedelta(minutes=3))}</p>"
    assert "3 minutes ago" not in fragment
    sent = fill_times(fragment, NOW, BERLIN)
    assert ">3 minutes ago</time>" in sent
    assert 'title="2026-03-29 03:27:00 CEST"' in sent, "the viewer's zone, an hour after its clocks were set"
    assert ">an hour" not in sent
    later = fill_times(fragment, NOW + timedelta(hours=2), BERLIN)
    assert ">2 hours ago</time>" in later


def test_a_moment_is_in_the_viewers_zone() -> None:
    assert ">29 Mar 03:30</time>" in moment(NOW, BERLIN, NOW)
    assert ">29 Mar 01:30</time>" in moment(NOW, ZoneInfo("UTC"), NOW)


def test_a_time_that_is_far_away_has_its_year() -> None:
    later = NOW + timedelta(days=200)
    assert f">{later.astimezone(BERLIN):%d %b %Y %H:%M}</time>" in moment(later, BERLIN, NOW)
    assert f">{later.astimezone(BERLIN):%d %b %H:%M}</time>" in moment(later, BERLIN, later - timedelta(days=170))


def test_the_last_time_of_all_is_shown_in_every_zone() -> None:
    last = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    assert ">31 Dec 9999 23:59</time>" in moment(last, ZoneInfo("Asia/Tokyo"), NOW)
    assert full(last, ZoneInfo("Asia/Tokyo")) == "9999-12-31 23:59:00 UTC"
    assert at(last, ZoneInfo("Asia/Tokyo")) == "31 Dec 9999 23:59 UTC"
