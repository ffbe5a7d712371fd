"""Pin and unpin on the pages of actions, with every refusal on the way."""

from datetime import UTC, datetime, timedelta

import pytest
from support.fleet import Fleet
from support.servers import execute

from .conftest import Browser, Log

PIN = "/actions/pin?model=gpt-4o&complexity=complex"
UNPIN = "/actions/unpin?model=gpt-4o&complexity=complex"


@pytest.fixture(autouse=True)
def unpinned(fleet: Fleet) -> None:
    execute(fleet.admin, "DELETE FROM score_pins")


def pins(fleet: Fleet) -> list[tuple[float, datetime | None]]:
    return execute(fleet.admin, "SELECT score::double precision, expires_at FROM score_pins")


def test_a_pin_lasts_a_day_and_is_written_to_the_log_once(fleet: Fleet, browser: Browser, log: Log) -> None:
    page = browser.get(PIN)
    assert "Pin gpt-4o for complex tasks?" in page.text
    answer = browser.act(PIN, score="2.5")
    assert (answer.status, answer.location) == (303, "/pair?model=gpt-4o&complexity=complex")
    ((score, until),) = pins(fleet)
    assert score == 2.5
    assert until is not None
    assert abs(until - datetime.now(UTC) - timedelta(hours=24)) < timedelta(minutes=1)
    assert log.new() == [
        ("pin", "gpt-4o/complex", f"ada as {fleet.roles.operator}", "web", "127.0.0.1", "a test"),
    ]


def test_the_next_page_says_it_once_and_how_to_undo_it(fleet: Fleet, browser: Browser) -> None:
    browser.act(PIN, score="2.5")
    first, second = browser.get("/").text, browser.get("/").text
    assert "Pinned gpt-4o for complex tasks at 2.50 until " in first
    assert 'href="/actions/unpin?model=gpt-4o&amp;complexity=complex"' in first
    assert "Pinned" not in second
    answer = browser.act(UNPIN)
    assert answer.status == 303
    assert pins(fleet) == []
    assert "Removed the pin of gpt-4o for complex tasks." in browser.get("/").text
