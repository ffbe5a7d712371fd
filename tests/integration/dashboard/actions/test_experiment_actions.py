"""Actions on experiments: pause, resume, stop, promote anyway, with the roles of production."""

from urllib.parse import urlencode

import pytest
from support.fleet import Fleet
from support.known_experiments import BETTER, begun, configure, store_known
from support.operators import OPERATOR
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.experiments import change
from centralcloud.contracts.experiment_changes import paused
from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.dashboard.program import Dashboard
from centralcloud.runtime.postgres.database import Database

from .conftest import Browser, Log

_STAGE = (
    "SELECT body -> 'stage' ->> 'status', body -> 'stage' ->> 'reason', (body -> 'stage' ->> 'byHand')::bool"
    " FROM configuration_entries WHERE kind = 'experiment' AND id = %s"
)


@pytest.fixture
def canary(fleet: Fleet, request: pytest.FixtureRequest, browser: Browser) -> Experiment:
    """A canary that runs, one for each test."""
    found = begun(3, name=request.node.name[:60], treatments=[{"model": "gpt-x"}], stage={"step": 1, "share": 0.05})
    configure(fleet.admin, found)
    store_known(fleet.admin, found, BETTER)
    browser.dashboard.reader.read_everything()
    eventually(lambda: found.name in browser.get("/experiments").text)
    return found


def path(name: str, experiment: Experiment, **more: str) -> str:
    return f"/actions/{name}-experiment?{urlencode({'experiment': experiment.id, **more})}"


def stage(fleet: Fleet, experiment: Experiment) -> tuple[str, str, bool]:
    ((status, reason, by_hand),) = execute(fleet.admin, _STAGE, (experiment.id,))
    return status, reason, by_hand


def test_an_experiment_is_paused_and_resumed_from_its_page(
    fleet: Fleet, canary: Experiment, browser: Browser, log: Log
) -> None:
    log.new()
    page = browser.get(path("pause", canary))
    assert f"Pause {canary.name}?" in page.text
    assert "is running with 5% of the sessions" in page.text
    assert "gpt-x is better than control by 1.2 to 3.4 points of success" in page.text
    answer = browser.act(path("pause", canary), back=f"/experiment/{canary.id}")
    assert (answer.status, answer.location) == (303, f"/experiment/{canary.id}")
    assert stage(fleet, canary) == ("paused", "paused by hand: a test", True)
    subject, who = f"experiment/{canary.id}", f"ada as {fleet.roles.operator}"
    assert log.new() == [("change_configuration", subject, who, "web", "127.0.0.1", "a test")]
    shown = browser.get(f"/experiment/{canary.id}").text
    assert "is paused: every session goes to control" in shown
    assert f"Paused {canary.name}, in version" in shown
    assert "Resume it" in shown
    assert "ada, on a page" in shown
    assert browser.act(path("resume", canary)).status == 303
    assert stage(fleet, canary)[0] == "running"


def test_a_promotion_by_hand_names_its_treatment_and_is_recorded_as_such(
    fleet: Fleet, canary: Experiment, browser: Browser
) -> None:
    address = path("promote", canary, treatment="gpt-x")
    page = browser.get(address)
    assert "Promote gpt-x, whatever the evidence says?" in page.text
    assert "It is recorded as done by hand" in page.text
    assert f"centralcloud experiments promote --reason why {canary.id} gpt-x" in page.text
    assert browser.post("/actions/promote-experiment", {**page.form, "reason": ""}).status == 422
    assert stage(fleet, canary)[0] == "running"
    assert browser.act(address).status == 303
    assert stage(fleet, canary) == ("promoted", "promoted by hand: a test", True)
    again = browser.get(path("stop", canary)).text
    assert "is promoted by hand since" in again
    assert "It cannot be done now." in again


def test_an_experiment_that_has_changed_since_the_operator_looked_stays(
    fleet: Fleet, canary: Experiment, browser: Browser, log: Log
) -> None:
    form = {**browser.get(path("stop", canary)).form, "reason": "r"}
    with Database(fleet.operator, application_name="tests") as other:
        change(other, canary.id, paused, OPERATOR)
    log.new()
    answer = browser.post("/actions/stop-experiment", form)
    assert answer.status == 409
    assert "has changed since you looked. Nothing was changed." in answer.text
    assert log.new() == []
    assert stage(fleet, canary)[0] == "paused"
    assert browser.post("/actions/stop-experiment", {**answer.form, "reason": "r"}).status == 303
    assert stage(fleet, canary) == ("stopped", "stopped by hand: r", True)


def test_the_page_of_an_experiment_has_the_buttons_of_what_can_be_done_now(
    canary: Experiment, browser: Browser, dashboard: Dashboard
) -> None:
    def shown() -> list[str]:
        text = browser.get(f"/experiment/{canary.id}").text
        return [name for name in ("pause", "resume", "stop", "promote") if f'href="/actions/{name}-experiment?' in text]

    assert shown() == ["pause", "stop", "promote"]
    assert browser.act(path("pause", canary)).status == 303
    assert eventually(lambda: shown() == ["resume", "stop", "promote"])
    assert browser.act(path("stop", canary)).status == 303
    assert eventually(lambda: shown() == [])
    vera = Browser(dashboard).log_in("vera")
    answer = vera.get(path("pause", canary))
    assert (answer.status, f"centralcloud experiments pause --reason why {canary.id}" in answer.text) == (403, True)


def test_an_experiment_that_does_not_exist_is_a_page_that_says_so(browser: Browser) -> None:
    answer = browser.get("/actions/pause-experiment?experiment=nothing")
    assert (answer.status, "found no experiment" in answer.text.lower()) == (404, True)
    assert browser.get("/actions/pause-experiment").status == 404
