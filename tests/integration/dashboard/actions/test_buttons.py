"""Buttons on the pages: each leads to the page that asks for the confirmation."""

import html
import re

import pytest
from support.events import send
from support.fleet import Fleet
from support.ingest import ingest_all
from support.registry import a_model, write
from support.requests import a_request_id, an_attempt
from support.waiting import eventually

from centralcloud.runtime.postgres.database import Database

from .conftest import Browser


@pytest.fixture(autouse=True, scope="module")
def something_to_do(fleet: Fleet) -> None:
    """Let there be something for each action."""
    request = a_request_id()
    events = [an_attempt(request, 1, "routed"), an_attempt(request, 1, "success", response_time_ms=500)]
    send(fleet.owner, [{"no": "event"}, *events])
    with Database(fleet.worker, application_name="tests") as worker:
        ingest_all(worker)
    with Database(fleet.configurator, application_name="tests") as configurator:
        write(configurator, a_model("ember <b>"))


def buttons(browser: Browser, path: str) -> list[str]:
    """The addresses of the buttons of a page."""
    found = re.findall(r'<a class="button act" href="([^"]+)"', browser.get(path).text)
    return [html.unescape(address) for address in found]


def names(addresses: list[str]) -> set[str]:
    return {address.partition("?")[0].rpartition("/")[2] for address in addresses}


PAIR = "/pair?model=gpt-4o&complexity=complex"


def test_each_button_leads_to_its_confirmation(browser: Browser) -> None:
    browser.act("/actions/pin?model=gpt-4o&complexity=complex", score="2")
    browser.act("/actions/unpin?model=gpt-4o&complexity=complex")
    assert browser.act("/actions/pin?model=gpt-4o&complexity=complex", score="3").status == 303
    assert browser.act("/actions/freeze").status == 303
    for path, expected in (
        (PAIR, {"unpin", "rollback", "unfreeze"}),
        ("/fleet", {"replay", "discard", "unfreeze"}),
        ("/gateway", {"model-status", "unfreeze"}),
        ("/activity", {"unfreeze", "unpin", "pin"}),
    ):
        found = eventually(lambda path=path, expected=expected: _with(buttons(browser, path), expected), what=path)
        for address in found:
            page = browser.get(address)
            assert (page.status, "<h1>" in page.text) == (200, True), address
    assert browser.act("/actions/unfreeze").status == 303
    assert browser.act("/actions/unpin?model=gpt-4o&complexity=complex").status == 303
    eventually(
        lambda: {"pin", "rollback", "freeze"} <= names(buttons(browser, PAIR)), what="the pin of an unpinned pair"
    )


def _with(addresses: list[str], expected: set[str]) -> list[str]:
    return addresses if expected <= names(addresses) else []
