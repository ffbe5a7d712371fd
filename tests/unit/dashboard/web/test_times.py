"""Times on pages."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from centralcloud.dashboard.web.times import fill_times, moment, relative, since

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
    assert ">29 Mar 03:30</time>" in moment(NOW, BERLIN)
    assert ">29 Mar 01:30</time>" in moment(NOW, ZoneInfo("UTC"))
