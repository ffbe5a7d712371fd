"""Pin and unpin on the pages of actions, with every refusal on the way."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from support.fleet import Fleet
from support.servers import execute

from centralcloud.dashboard.program import Dashboard

from .conftest import Answer, Browser, Log

PIN = "/actions/pin?model=gpt-4o&complexity=complex"
UNPIN = "/actions/unpin?model=gpt-4o&complexity=complex"
PAIR = "/pair?model=gpt-4o&complexity=complex"


@pytest.fixture(autouse=True)
def unpinned(fleet: Fleet) -> None:
    execute(fleet.admin, "DELETE FROM score_pins")


def pins(fleet: Fleet) -> list[tuple[float, datetime | None]]:
    return execute(fleet.admin, "SELECT score::double precision, expires_at FROM score_pins")


def version(fleet: Fleet) -> int:
    return int(execute(fleet.admin, "SELECT max(version) FROM model_scores")[0][0])


def a_form(browser: Browser, **values: str) -> dict[str, str]:
    return {**browser.get(PIN).form, "score": "2.5", "reason": "a test", **values}


def at_once(*calls: Callable[[], Answer]) -> list[Answer]:
    """Call each in a thread of its own, all at the same moment."""
    barrier = threading.Barrier(len(calls))

    def call(one: Callable[[], Answer]) -> Answer:
        barrier.wait()
        return one()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(call, calls))


def test_a_pin_lasts_a_day_and_is_written_to_the_log_once(fleet: Fleet, browser: Browser, log: Log) -> None:
    page = browser.get(PIN)
    assert "Pin gpt-4o for complex tasks?" in page.text
    assert "Its score is 3.30, version 1." in page.text
    assert page.form["lasts"] == "24"
    answer = browser.act(PIN, score="2.5")
    assert (answer.status, answer.location) == (303, PAIR)
    ((score, until),) = pins(fleet)
    assert score == 2.5
    assert until is not None
    assert abs(until - datetime.now(UTC) - timedelta(hours=24)) < timedelta(minutes=1)
    assert log.new() == [("pin", "gpt-4o/complex", f"ada as {fleet.roles.operator}", "web", "127.0.0.1", "a test")]


def test_the_next_page_says_it_once_and_how_to_undo_it(fleet: Fleet, browser: Browser, dashboard: Dashboard) -> None:
    another = Browser(dashboard).log_in("grace")
    browser.act(PIN, score="2.5")
    assert "Pinned gpt-4o" not in another.get("/scores").text, "a notice is for the one who acted"
    first, second = browser.get("/scores").text, browser.get("/scores").text
    assert "Pinned gpt-4o for complex tasks at 2.50 until " in first
    assert 'href="/actions/unpin?model=gpt-4o&amp;complexity=complex"' in first
    assert "Pinned gpt-4o" not in second
    assert browser.act(UNPIN).status == 303
    assert pins(fleet) == []
    assert "Removed the pin of gpt-4o for complex tasks." in browser.get("/scores").text


@pytest.mark.parametrize("address", ["http://[", "//[x", "http://localhost:x/", "\xff"])
def test_a_page_that_came_from_an_address_that_is_none_leads_back_to_its_subject(
    browser: Browser, address: str
) -> None:
    page = browser.get(PIN, Referer=address)
    assert (page.status, page.form["back"]) == (200, PAIR)


def test_looking_changes_nothing_whatever_the_address_has(fleet: Fleet, browser: Browser, log: Log) -> None:
    form = a_form(browser)
    before = version(fleet)
    page = browser.get(f"{PIN}&score=1.5&reason=x&token={form['token']}&form={form['form']}&seen={form['seen']}")
    assert page.status == 200
    assert "Its score is 1.50 until " in page.text
    shown = browser.post("/actions/pin", {**form, "score": "1.25", "do": "show"})
    assert (shown.status, "Its score is 1.25 until " in shown.text) == (200, True)
    assert (version(fleet), pins(fleet), log.new()) == (before, [], [])


def test_a_form_whose_score_has_moved_is_refused_and_shows_the_new_state(
    fleet: Fleet, browser: Browser, log: Log
) -> None:
    form = a_form(browser, score="4.25")
    browser.act(PIN, score="2")
    log.new()
    answer = browser.post("/actions/pin", form)
    assert answer.status == 409
    assert (
        f"An operator has set the score in version {version(fleet)} since you looked. Nothing was changed."
        in answer.text
    )
    assert "It is pinned at 2.00 until " in answer.text
    assert (answer.form["score"], answer.form["reason"]) == ("4.25", "a test"), "what was typed stays"
    assert log.new() == []
    assert browser.post("/actions/pin", answer.form).status == 303
    assert pins(fleet)[0][0] == 4.25


def test_of_two_operators_who_pin_the_same_pair_at_once_one_is_refused(
    fleet: Fleet, dashboard: Dashboard, log: Log
) -> None:
    ada, grace = Browser(dashboard).log_in("ada"), Browser(dashboard).log_in("grace")
    forms = {ada: a_form(ada, score="1"), grace: a_form(grace, score="2")}
    answers = at_once(*(lambda who=who, form=form: who.post("/actions/pin", form) for who, form in forms.items()))
    assert sorted(answer.status for answer in answers) == [303, 409]
    assert len(log.new()) == 1
    assert len(pins(fleet)) == 1


def test_a_double_click_and_a_reload_act_once_with_the_same_answer(fleet: Fleet, browser: Browser, log: Log) -> None:
    form = a_form(browser)
    before = version(fleet)
    answers = at_once(*[lambda: browser.post("/actions/pin", form)] * 3)
    answers.append(browser.post("/actions/pin", form))
    assert {(answer.status, answer.location) for answer in answers} == {(303, PAIR)}
    assert len(log.new()) == 1
    assert version(fleet) == before + 1


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"reason": "  "}, "The reason is empty"),
        ({"reason": "x" * 1001}, "Found 1,001 characters, expected at most 1,000."),
        ({"reason": "a\tb"}, "Found a control character"),
        ({"score": ""}, "The score is empty"),
        ({"score": "2,5"}, "expected a point instead of the comma: 2.5."),
        ({"score": "5.001"}, "expected a number from 0 to 5"),
        ({"score": "-1"}, "expected a number from 0 to 5"),
        ({"score": "NaN"}, "expected a number from 0 to 5"),
        ({"until": "2020-01-01T10:00"}, "expected a time in the future"),
        ({"until": "tomorrow"}, "expected a time such as "),
        ({"lasts": "x"}, "expected one of the choices"),
    ],
)
def test_a_wrong_value_is_named_beside_its_field_and_the_form_stays(
    fleet: Fleet, browser: Browser, log: Log, values: dict[str, str], problem: str
) -> None:
    form = a_form(browser, **values)
    answer = browser.post("/actions/pin", form)
    assert answer.status == 422
    ((name, value),) = values.items()
    assert f'<p class="problem" id="{name}-problem">' in answer.text
    assert problem in answer.text
    if name in ("reason", "score") and "\t" not in value:
        assert answer.form[name] == value
    assert (pins(fleet), log.new()) == ([], [])
    assert (
        browser.post("/actions/pin", {**answer.form, "reason": "r", "score": "1", "until": "", "lasts": "1"}).status
        == 303
    )


def test_a_time_is_one_of_the_viewers_zone(fleet: Fleet, browser: Browser) -> None:
    form = {**browser.get(f"{PIN}&zone=Asia/Tokyo").form, "score": "2", "reason": "r", "until": "2126-11-30T10:00"}
    assert browser.post("/actions/pin", form).status == 303
    assert pins(fleet)[0][1] == datetime(2126, 11, 30, 1, 0, tzinfo=UTC)


def test_a_pin_without_an_end_must_be_chosen(fleet: Fleet, browser: Browser) -> None:
    assert browser.act(PIN, score="2", lasts="").status == 303
    assert pins(fleet) == [(2.0, None)]
    assert "at 2.00 until it is unpinned" in browser.get("/scores").text


def test_what_is_not_there_is_one_line_and_a_command(browser: Browser, log: Log) -> None:
    for path, expected in (
        ("/actions/pin?model=nothing&complexity=complex", "found no model nothing"),
        ("/actions/pin?model=gpt-4o&complexity=simple", "found no gpt-4o for simple tasks"),
        ("/actions/pin?model=gpt-4o&complexity=hard", "one of simple, medium, complex"),
        ("/actions/pin?model=%00&complexity=complex", "one of simple, medium, complex"),
        ("/actions/nothing", "The actions are pin, unpin, rollback, "),
    ):
        answer = browser.get(path)
        assert (answer.status, expected in answer.text) == (404, True), answer.text
    form = {**a_form(browser), "model": "nothing"}
    answer = browser.post("/actions/pin", form)
    assert answer.status in (404, 422)
    assert "found no model nothing" in answer.text
    assert "Nothing was changed." in answer.text
    unpin = {**form, "form": browser.get(UNPIN).form.get("form", ""), "model": "gpt-4o"}
    assert "It is not pinned now." in browser.get(UNPIN).text
    assert browser.post("/actions/unpin", unpin).status == 409, "its form was never shown"
    assert log.new() == []


def test_a_retired_model_is_not_pinned(fleet: Fleet, browser: Browser, log: Log) -> None:
    form = a_form(browser)
    execute(fleet.admin, "INSERT INTO retired_models (model_name) VALUES ('gpt-4o')")
    try:
        assert "gpt-4o is retired: no score of it counts" in browser.get(PIN).text
        answer = browser.post("/actions/pin", form)
        assert (answer.status, "It cannot be done: gpt-4o is retired, since" in answer.text) == (422, True), answer.text
        assert log.new() == []
    finally:
        execute(fleet.admin, "DELETE FROM retired_models")
