"""Pages that are open while the fleet, the database and the server change."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.browsers import Site, Visit, start_dashboard, wait_for_state
from support.dashboard_life import living
from support.programs import Program
from support.servers import execute
from support.tcp_proxy import TcpProxy
from support.waiting import eventually

from centralcloud.dashboard.security.passwords import Cost, hash_password


@pytest.fixture
def site(day_url: str, start: Callable[..., Program]) -> Site:
    """A dashboard of the test's own."""
    return start_dashboard(start, day_url)


@pytest.fixture
def frozen(day_url: str) -> Iterator[Callable[[str], None]]:
    """Freezes learning with a reason, which changes the banner of every page; undone at the end."""

    def freeze(reason: str) -> None:
        execute(day_url, "UPDATE learning_control SET frozen_at = now(), frozen_reason = %s", (reason,))

    yield freeze
    execute(day_url, "UPDATE learning_control SET frozen_at = NULL, frozen_reason = NULL")


def test_a_new_score_arrives_and_the_focus_stays_on_its_cell(day: Site, visit: Visit) -> None:
    page = visit.open(day.url)
    cell = page.locator("#matrix a.cell").nth(4)
    before, label = cell.locator("b").inner_text(), cell.get_attribute("href")
    cell.focus()
    page.evaluate("window.scrollTo(0, 100)")
    changed = "4.21" if before != "4.21" else "4.22"
    model, complexity = (label or "").split("model=")[1].split("&complexity=")
    execute(
        day.database_url,
        "UPDATE model_scores SET score = %s, version = nextval('model_score_version')"
        " WHERE model_name = %s AND complexity_level = %s",
        (changed, model, complexity),
    )
    page.wait_for_function(
        "([href, text]) => document.querySelector(`#matrix a[href='${href}'] b`)?.textContent === text",
        arg=[label, changed],
    )
    assert page.evaluate("document.activeElement.getAttribute('href')") == label
    assert page.evaluate("document.activeElement.isConnected")
    assert page.evaluate("window.scrollY") == 100


def test_a_fragment_waits_while_its_text_is_selected(day: Site, visit: Visit, frozen: Callable[[str], None]) -> None:
    frozen("a first reason")
    page = visit.open(day.url)
    page.wait_for_selector("#banner >> text=a first reason")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#banner'))")
    frozen("a second reason")
    eventually(lambda: page.evaluate("1") and any("a second reason" in each for each in visit.messages))
    assert "a first reason" in page.inner_text("#banner")
    assert "a first reason" in page.evaluate("getSelection().toString()")
    page.evaluate("getSelection().removeAllRanges()")
    page.wait_for_selector("#banner >> text=a second reason", timeout=3000)


def test_details_stay_open_and_parts_stay_scrolled_when_their_fragment_is_replaced(day: Site, visit: Visit) -> None:
    page = visit.open(day.url, viewport={"width": 390, "height": 700})
    page.locator("#shares summary").click()
    table = page.locator("#shares details .scroll")
    table.evaluate("each => { each.scrollTop = 30; each.scrollLeft = 20 }")
    places = table.evaluate("each => [each.scrollTop, each.scrollLeft]")
    assert places != [0, 0]
    page.evaluate("document.querySelector('#shares details').dataset.old = 'yes'")
    with living(day.database_url) as life:
        life.tasks(60)
    page.wait_for_selector("#shares details:not([data-old])", timeout=30_000)
    assert page.locator("#shares details").evaluate("each => each.open")
    assert table.evaluate("each => [each.scrollTop, each.scrollLeft]") == places


def test_ten_tabs_at_once_all_become_live(day: Site, visit: Visit) -> None:
    context = visit.context()
    opener = visit.open(day.url, context=context)
    opener.evaluate("() => { for (let number = 0; number < 9; number++) open(location.href, '_blank', 'noopener'); }")
    eventually(lambda: opener.evaluate("1") and len(context.pages) == 10)
    for page in context.pages:
        wait_for_state(page, "live", within_seconds=20)


def test_a_hidden_tab_closes_its_socket_and_a_shown_one_is_live_again(day: Site, visit: Visit) -> None:
    page = visit.context().new_page()
    sockets: list[Any] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    page.goto(day.url)
    wait_for_state(page, "live")
    _set_hidden(page, True)
    eventually(lambda: page.evaluate("1") and sockets[-1].is_closed())
    _set_hidden(page, False)
    eventually(lambda: page.evaluate("1") and len(sockets) == 2)
    wait_for_state(page, "live")


def test_a_stop_shows_reconnecting_at_once_and_ends_in_time(
    site: Site, visit: Visit, start: Callable[..., Program]
) -> None:
    page = visit.open(site.url)
    port = site.url.rsplit(":", 1)[1]
    site.program.process.terminate()
    stopped = time.monotonic()
    wait_for_state(page, "reconnecting", within_seconds=1)
    assert page.inner_text("#state") == "reconnecting"
    assert site.program.process.wait(timeout=2.5 - (time.monotonic() - stopped)) == 0
    start_dashboard(start, site.database_url, "--port", port)
    wait_for_state(page, "live", within_seconds=15)
    visit.complaints.clear()  # the browser reports each connection that was refused meanwhile


def test_without_the_database_the_pages_say_so_and_come_back(
    day_url: str, visit: Visit, start: Callable[..., Program]
) -> None:
    with TcpProxy(day_url) as proxy:
        site = start_dashboard(start, f"{proxy.url} connect_timeout=2")
        page = visit.open(site.url)
        score = page.inner_text("#matrix a.cell >> nth=0")
        proxy.pause()
        proxy.cut()
        wait_for_state(page, "unavailable", within_seconds=5)
        assert "unavailable" in page.inner_text("#banner")
        assert page.inner_text("#matrix a.cell >> nth=0") == score, "the last values stay"
        page.reload()
        assert page.get_attribute("body", "data-state") == "unavailable"
        assert "unavailable" in page.inner_text("#banner")
        proxy.resume()
        wait_for_state(page, "live", within_seconds=20)
        assert "unavailable" not in page.inner_text("main")


def test_numbers_turn_grey_when_the_server_hangs(site: Site, visit: Visit) -> None:
    page = visit.open(site.url)
    color = "getComputedStyle(document.querySelector('.kpi .value')).color"
    before = page.evaluate(color)
    pid = site.program.process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for_state(page, "stale", within_seconds=20)
        assert page.inner_text("#state") == "stale"
        assert page.evaluate(color) != before
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for_state(page, "live")
    assert page.evaluate(color) == before


def test_a_viewer_logs_in_reads_and_logs_out(
    day_url: str, visit: Visit, start: Callable[..., Program], tmp_path: Path
) -> None:
    users = tmp_path / "users"
    users.touch(0o600)
    users.write_text(_line_of("ada", "a password that is long"))
    site = start_dashboard(
        start,
        day_url,
        wait_for="Log in",
        CENTRALCLOUD_DASHBOARD_USERS_FILE=str(users),
        CENTRALCLOUD_DASHBOARD_READ_NEEDS_LOGIN="true",
    )
    context = visit.context()
    page = visit.open(f"{site.url}/?models=all", live=False, context=context)
    assert page.evaluate("document.activeElement.id") == "name"
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type("a wrong password")
    page.keyboard.press("Enter")
    assert page.get_by_role("alert").inner_text()
    visit.complaints.clear()  # the status 401
    page.fill("#password", "a password that is long")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?models=all")
    wait_for_state(page, "live")
    assert page.inner_text(".viewer") == "ada"
    other = visit.open(site.url, context=context)
    page.click("text=Log out")
    page.wait_for_url("**/login")
    other.wait_for_url("**/login*", timeout=10_000)


def test_a_command_is_copied_by_its_button(day: Site, visit: Visit, frozen: Callable[[str], None]) -> None:
    frozen("a test")
    page = visit.open(day.url, permissions=["clipboard-read", "clipboard-write"])
    command = page.locator("#banner [data-copy]")
    command.locator("xpath=following-sibling::button[1]").click()
    page.wait_for_selector("#banner button >> text=Copied")
    assert page.evaluate("navigator.clipboard.readText()") == command.inner_text() == "centralcloud unfreeze"


def _set_hidden(page: Any, hidden: bool) -> None:
    page.evaluate(
        """(hidden) => {
            Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def _line_of(name: str, password: str) -> str:
    return f"{name}:operator:{hash_password(password, Cost(16, 8, 1))}\n"
