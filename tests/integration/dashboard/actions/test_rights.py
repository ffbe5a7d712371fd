"""Rights to act, errors of the database, and a dashboard without actions."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fleet import Fleet
from support.servers import execute
from support.tcp_proxy import TcpProxy
from support.waiting import eventually

from centralcloud.dashboard.program import Dashboard

from .conftest import PASSWORD, Browser, Log, serving

PIN = "/actions/pin?model=gpt-4o&complexity=complex"


def test_a_change_needs_a_session_its_token_its_role_and_its_page(
    dashboard: Dashboard, browser: Browser, log: Log
) -> None:
    stranger, vera = Browser(dashboard), Browser(dashboard).log_in("vera")
    assert stranger.post("/login", {"name": "ada", "password": PASSWORD + "!"}).status == 401
    form = {**browser.get(PIN).form, "score": "2", "reason": "r"}
    assert stranger.post("/actions/pin", form).status == 401
    without = {name: value for name, value in form.items() if name != "token"}
    assert browser.post("/actions/pin", without).status == 403
    assert browser.post("/actions/pin", form, {"Origin": "http://evil.example"}).status == 403
    assert browser.post("/actions/pin", form, {"Origin": None}).status == 403
    assert browser.post("/actions/pin", form, {"Sec-Fetch-Site": "cross-site"}).status == 403
    assert vera.post("/actions/pin", form).status == 403, "the token of another login"
    token = re.search(r'name="token" value="([^"]+)"', vera.get("/").text)
    assert token is not None
    answer = vera.post("/actions/pin", {**form, "token": token[1]})
    assert (answer.status, answer.text) == (403, "vera has the role viewer, expected operator: nothing was changed\n")
    grace = Browser(dashboard).log_in("grace")
    foreign = {**form, "token": grace.get(PIN).form["token"]}
    assert grace.post("/actions/pin", foreign).status == 409, "the form was shown to another login"
    assert log.new() == []
    assert browser.post("/actions/pin", form).status == 303
    assert len(log.new()) == 1


@pytest.mark.parametrize("read_needs_login", [True, False])
def test_a_login_that_ends_in_the_middle_of_a_form_changes_nothing_and_keeps_what_was_typed(
    fleet: Fleet, tmp_path: Path, log: Log, read_needs_login: bool
) -> None:
    with serving(fleet, tmp_path / "users", read_needs_login=read_needs_login) as dashboard:
        browser, other_tab = Browser(dashboard).log_in(), Browser(dashboard)
        form = {**browser.get(PIN).form, "score": "2.75", "reason": "typed & kept"}
        other_tab.cookies = browser.cookies.copy()
        assert other_tab.post("/logout", {"token": form["token"]}).status == 303
        answer = browser.post("/actions/pin", form)
        assert answer.status == 401
        assert "Your login has ended" in answer.text
        assert "Nothing was changed." in answer.text
        assert log.new() == []
        found = re.search(r'<a class="button" href="(/login[^"]+)"', answer.text)
        assert found is not None
        page = browser.get(html.unescape(found[1]))
        assert form["token"] not in page.text
        sent = browser.post("/login", {"name": "ada", "password": PASSWORD, "next": page.form["next"]})
        assert sent.status == 303
        again = browser.get(sent.location or "")
        assert (again.form["score"], again.form["reason"]) == ("2.75", "typed & kept")
        assert browser.post("/actions/pin", {**form, **again.form}).status == 303
        assert [row[0] for row in log.new()] == ["pin"]
        other_tab.cookies = {}
        long = other_tab.post("/actions/pin", {**form, "reason": "x" * 4000})
        assert long.status == 401
        assert "xxxx" not in long.text


def test_a_viewer_gets_the_command_instead_of_the_form(dashboard: Dashboard) -> None:
    answer = Browser(dashboard).log_in("vera").get(f"{PIN}&score=2")
    assert answer.status == 403
    assert "vera has the role viewer, expected an operator." in answer.text
    assert re.search(r"centralcloud scores pin --until \S+ --reason why gpt-4o complex 2.000", answer.text)
    assert "<button>Pin" not in answer.text


def test_one_who_is_not_logged_in_is_led_to_the_login_and_back(dashboard: Dashboard) -> None:
    stranger = Browser(dashboard)
    answer = stranger.get(PIN)
    assert answer.status == 303
    assert (answer.location or "").startswith("/login?next=/actions/pin%3F")
    assert 'href="/login?next=' in stranger.get("/scores").text


def test_only_the_pages_of_operators_show_buttons(dashboard: Dashboard, browser: Browser) -> None:
    acts = '<body class="page-scores acts"'
    assert acts in browser.get("/scores").text
    assert acts not in Browser(dashboard).log_in("vera").get("/scores").text
    assert acts not in Browser(dashboard).get("/scores").text


def test_it_leads_back_to_the_page_it_came_from_and_to_no_other_server(browser: Browser) -> None:
    for referer, back in (
        (f"{browser.origin}/scores?complexity=complex", "/scores?complexity=complex"),
        (f"{browser.origin}/actions/unpin?model=x", "/pair?model=gpt-4o&complexity=complex"),
        ("http://evil.example/scores", "/pair?model=gpt-4o&complexity=complex"),
    ):
        assert browser.get(PIN, Referer=referer).form["back"] == back
    for back in ("https://evil.example", "//evil.example", "/\\evil.example", "/actions/freeze"):
        answer = browser.act(PIN, back=back, score="2")
        assert (answer.status, answer.location) == (303, "/pair?model=gpt-4o&complexity=complex")


def test_a_dashboard_without_the_operators_database_names_the_setting(fleet: Fleet, tmp_path: Path, log: Log) -> None:
    with serving(fleet, tmp_path / "users", operator_database_url=None) as dashboard:
        ada = Browser(dashboard).log_in()
        answer = ada.get(PIN)
        assert answer.status == 404
        assert "CENTRALCLOUD_OPERATOR_DATABASE_URL is not set" in answer.text
        assert "centralcloud scores pin" in answer.text
        assert ada.post("/actions/pin", {"score": "2"}).status == 404
        assert 'class="page-scores"' in ada.get("/scores").text
        assert log.new() == []


def test_a_user_of_a_proxy_acts_under_its_name_and_address(fleet: Fleet, tmp_path: Path, log: Log) -> None:
    settings = {"trusted_proxies": "127.0.0.1", "proxy_user_header": "X-Forwarded-User", "operators": "ada@example.org"}
    with serving(fleet, tmp_path / "users", **settings) as dashboard:
        ada = Browser(dashboard, X_Forwarded_User="ada@example.org", X_Forwarded_For="192.0.2.7")
        assert ada.act(PIN, score="2").status == 303
        assert log.new()[0][2:5] == (f"ada@example.org as {fleet.roles.operator}", "web", "192.0.2.7")
        bob = Browser(dashboard, X_Forwarded_User="bob@example.org", X_Forwarded_For="192.0.2.8")
        assert "Pinned gpt-4o" not in bob.get("/scores").text
        assert "Pinned gpt-4o" in ada.get("/scores").text
        assert bob.get(PIN).status == 403


@pytest.fixture
def proxied(fleet: Fleet, tmp_path: Path) -> Iterator[tuple[Browser, TcpProxy]]:
    """A browser of a dashboard whose operators come to the database through a proxy."""
    from pydantic import SecretStr

    with TcpProxy(fleet.operator) as proxy:
        url = SecretStr(f"{proxy.url} connect_timeout=2")
        with serving(fleet, tmp_path / "users", operator_database_url=url) as dashboard:
            yield Browser(dashboard).log_in(), proxy


def test_an_outage_changes_nothing_and_keeps_what_was_typed(
    fleet: Fleet, proxied: tuple[Browser, TcpProxy], log: Log
) -> None:
    browser, proxy = proxied
    form = {**browser.get(PIN).form, "score": "2.75", "reason": "typed"}
    proxy.pause()
    proxy.cut()
    answer = browser.post("/actions/pin", form)
    assert answer.status == 503
    assert "The database is unavailable" in answer.text
    assert "Nothing was changed." in answer.text
    assert "`centralcloud doctor` says what is wrong" in answer.text
    assert "?." not in answer.text
    assert (answer.form["score"], answer.form["reason"], answer.form["seen"]) == ("2.75", "typed", form["seen"])
    assert browser.get("/scores").status == 200, "the pages have a database of their own"
    proxy.resume()
    proxy.cut()
    assert eventually(lambda: browser.post("/actions/pin", form).status == 303)
    assert len(log.new()) == 1


def test_a_connection_that_is_lost_during_the_commit_leaves_it_open(
    fleet: Fleet, proxied: tuple[Browser, TcpProxy], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    from centralcloud.administration import score_overrides

    browser, proxy = proxied
    form = {**browser.get(PIN).form, "score": "2.75", "reason": "r"}
    record = score_overrides.record_action

    def record_and_cut(*arguments: object, **options: object) -> None:
        record(*arguments, **options)  # type: ignore[arg-type]
        proxy.cut()

    monkeypatch.setattr(score_overrides, "record_action", record_and_cut)
    answer = browser.post("/actions/pin", form)
    assert answer.status == 503
    assert "The change may have been made: look at Activity before you repeat it." in answer.text
    monkeypatch.undo()
    assert browser.post("/actions/pin", form).status == 503, "a reload does not repeat it"
    assert log.new() == [], "here it was not made"


def test_a_login_that_lacks_a_right_is_named(fleet: Fleet, dashboard: Dashboard, browser: Browser, log: Log) -> None:
    form = {**browser.get(PIN).form, "score": "2", "reason": "r"}
    execute(fleet.owner, f"REVOKE INSERT ON score_pins FROM {fleet.roles.operator}")
    try:
        answer = browser.post("/actions/pin", form)
    finally:
        execute(fleet.owner, f"GRANT INSERT ON score_pins TO {fleet.roles.operator}")
    assert answer.status == 503
    assert "A login of the dashboard lacks a right: permission denied for table score_pins" in html.unescape(
        answer.text
    )
    assert log.new() == []


def test_every_page_sees_the_change_within_two_seconds(dashboard: Dashboard, browser: Browser) -> None:
    browser.act("/actions/freeze", reason="seen by all")
    try:
        other = Browser(dashboard)
        eventually(lambda: "seen by all" in other.get("/scores").text, within_seconds=2)
    finally:
        assert browser.act("/actions/unfreeze").status == 303


def test_a_damaged_file_of_users_is_told_to_operators_and_to_no_one_else(fleet: Fleet, tmp_path: Path) -> None:
    users = tmp_path / "users"
    with serving(fleet, users) as dashboard:
        ada, vera = Browser(dashboard).log_in(), Browser(dashboard).log_in("vera")
        users.rename(tmp_path / "moved")
        assert "The file of users cannot be used." in ada.get("/scores").text
        assert "The file of users cannot be used." not in vera.get("/scores").text
        (tmp_path / "moved").rename(users)
        assert "The file of users cannot be used." not in ada.get("/scores").text
