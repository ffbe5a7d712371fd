"""Every other action on its page: roll back, freeze, unfreeze, replay, discard, the status of a model."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from support.events import send
from support.fleet import Fleet
from support.ingest import ingest_all
from support.operators import OPERATOR
from support.registry import a_model, write
from support.servers import execute

from centralcloud.administration import score_overrides
from centralcloud.administration.verification import verify
from centralcloud.runtime.postgres.database import Database

from .conftest import Browser, Log

PAIR = ("gpt-4o", "complex")


@pytest.fixture
def owner(fleet: Fleet) -> Iterator[Database]:
    with Database(fleet.owner, application_name="tests") as database:
        yield database


def version(fleet: Fleet) -> int:
    return int(execute(fleet.admin, "SELECT max(version) FROM model_scores")[0][0])


def score(fleet: Fleet) -> Decimal:
    return Decimal(execute(fleet.admin, "SELECT score FROM model_scores")[0][0])


def put_letters(fleet: Fleet, number: int) -> str:
    """Let messages become dead letters, and return the field that is refused."""
    send(fleet.owner, [{"no": "event"}] * number)
    with Database(fleet.worker, application_name="tests") as worker:
        assert ingest_all(worker).dead_letters == number
    return str(execute(fleet.admin, "SELECT max(field) FROM dead_letters")[0][0])


def test_a_roll_back_lists_each_score_that_it_changes_and_publishes_it(
    fleet: Fleet, owner: Database, browser: Browser, log: Log
) -> None:
    before, then = version(fleet), score(fleet)
    score_overrides.pin(owner, PAIR, Decimal("1.25"), None, OPERATOR)
    score_overrides.unpin(owner, PAIR, OPERATOR)
    log.new()
    path = f"/actions/rollback?to={before}"
    page = browser.get(path)
    assert "1 score changes" in page.text
    assert f'<td class="number">1.25</td><td class="number"><b>{then:.2f}</b></td>' in page.text
    answer = browser.act(path)
    assert (answer.status, answer.location) == (303, "/scores")
    assert score(fleet) == then
    assert log.new() == [("rollback", "scores", f"ada as {fleet.roles.operator}", "web", "127.0.0.1", "a test")]
    assert f"Rolled 1 score back to the time of version {before}." in browser.get("/scores").text
    assert "The scores are already those of version " in browser.get(f"/actions/rollback?to={version(fleet)}").text
    assert verify(owner).ok


def test_a_roll_back_is_refused_once_another_operator_has_set_a_score(
    fleet: Fleet, owner: Database, browser: Browser, log: Log
) -> None:
    before = version(fleet)
    score_overrides.pin(owner, PAIR, Decimal("1.5"), None, OPERATOR)
    score_overrides.unpin(owner, PAIR, OPERATOR)
    form = {**browser.get(f"/actions/rollback?to={before}").form, "reason": "r"}
    score_overrides.pin(owner, PAIR, Decimal("1.75"), None, OPERATOR)
    score_overrides.unpin(owner, PAIR, OPERATOR)
    log.new()
    answer = browser.post("/actions/rollback", form)
    assert answer.status == 409
    assert f"An operator has set a score in version {version(fleet)} since you looked." in answer.text
    assert '<td class="number">1.75</td>' in answer.text, "and the page shows the new scores"
    assert log.new() == []
    assert browser.post("/actions/rollback", {**answer.form, "reason": "r"}).status == 303


@pytest.mark.parametrize("to", ["0", "999999", "-1", "x", "1e3", "9" * 30, ""])
def test_a_version_that_never_was_is_not_gone_back_to(browser: Browser, to: str) -> None:
    answer = browser.get(f"/actions/rollback?to={to}")
    assert (answer.status, "No such version" in answer.text) == (404, True)


def test_learning_is_frozen_with_its_reason_and_unfrozen(fleet: Fleet, browser: Browser, log: Log) -> None:
    answer = browser.act("/actions/freeze", reason="the <provider> is down")
    assert (answer.status, answer.location) == (303, "/")
    page = browser.get("/").text
    assert "Froze learning: the &lt;provider&gt; is down" in page
    assert execute(fleet.admin, "SELECT frozen_reason FROM learning_control") == [("the <provider> is down",)]
    unfreeze = browser.get("/actions/unfreeze")
    assert f"by ada as {fleet.roles.operator}: the &lt;provider&gt; is down" in unfreeze.text
    assert browser.post("/actions/unfreeze", {**unfreeze.form, "reason": "it is back"}).status == 303
    assert execute(fleet.admin, "SELECT frozen_at FROM learning_control") == [(None,)]
    who = f"ada as {fleet.roles.operator}"
    assert log.new() == [
        ("freeze", "scores", who, "web", "127.0.0.1", "the <provider> is down"),
        ("unfreeze", "scores", who, "web", "127.0.0.1", "it is back"),
    ]
    assert "Learning is not frozen now." in browser.get("/actions/unfreeze").text


def test_a_freeze_by_another_operator_is_not_replaced_unseen(owner: Database, browser: Browser, log: Log) -> None:
    form = {**browser.get("/actions/freeze").form, "reason": "mine"}
    score_overrides.freeze(owner, "theirs", OPERATOR)
    log.new()
    answer = browser.post("/actions/freeze", form)
    assert answer.status == 409
    assert "Scores were frozen since you looked." in answer.text
    assert "theirs" in answer.text
    unfreeze = {**browser.get("/actions/unfreeze").form, "reason": "r"}
    score_overrides.unfreeze(owner, OPERATOR)
    log.new()
    assert browser.post("/actions/unfreeze", unfreeze).status == 409
    assert log.new() == []


def test_dead_letters_of_a_field_are_replayed(fleet: Fleet, owner: Database, browser: Browser, log: Log) -> None:
    field = put_letters(fleet, 3)
    page = browser.get(f"/actions/replay?field={field}")
    assert f"Replay 3 dead letters of the field {field}?" in page.text
    assert page.text.count('<th scope="row" class="number">') == 3
    answer = browser.post("/actions/replay", {**page.form, "reason": "fixed"})
    assert (answer.status, answer.location) == (303, "/fleet")
    assert f"Sent 3 messages of the field {field} to the queue again." in browser.get("/fleet").text
    assert log.new() == [
        ("replay_dead_letters", "dead-letters", f"ada as {fleet.roles.operator}", "web", "127.0.0.1", "fixed")
    ]
    with Database(fleet.worker, application_name="tests") as worker:
        assert ingest_all(worker).dead_letters == 3, "they were in the queue"
    assert verify(owner).ok
    assert browser.act(f"/actions/discard?field={field}").status == 303


def test_only_the_dead_letters_that_were_seen_are_discarded(fleet: Fleet, browser: Browser, log: Log) -> None:
    put_letters(fleet, 2)
    form, late = ({**browser.get("/actions/discard?field=").form, "reason": "r"} for _ in range(2))
    put_letters(fleet, 1)
    assert browser.post("/actions/discard", form).status == 303, "more come all the time while a router sends them"
    assert "Discarded 2 dead letters." in browser.get("/fleet").text
    assert len(log.new()) == 1
    answer = browser.post("/actions/discard", late)
    assert answer.status == 409
    assert "No dead letter of those is open now: they changed since you looked." in answer.text
    assert "Discard 1 dead letter?" in answer.text
    assert log.new() == []
    assert browser.post("/actions/discard", {**answer.form, "reason": "r"}).status == 303
    assert execute(fleet.admin, "SELECT count(*) FROM dead_letters WHERE resolution IS NULL") == [(0,)]
    assert "There is no open dead letter." in browser.get("/actions/discard?field=").text
    assert browser.get("/actions/discard").status == 404, "which ones is never left open"


def test_a_model_is_made_inactive_in_the_version_that_was_seen(fleet: Fleet, browser: Browser, log: Log) -> None:
    with Database(fleet.configurator, application_name="tests") as configurator:
        write(configurator, a_model("ember"), a_model("other"))
    log.new()
    path = "/actions/model-status?model=ember&status=inactive"
    stale = {**browser.get(path).form, "reason": "r"}
    answer = browser.act(path)
    assert (answer.status, answer.location) == (303, "/gateway")
    assert "Made ember inactive, in version " in browser.get("/gateway").text
    assert log.new() == [
        ("change_configuration", "model/ember", f"ada as {fleet.roles.operator}", "web", "127.0.0.1", "a test")
    ]
    conflict = browser.post("/actions/model-status", {**stale, "model": "other"})
    assert conflict.status == 409
    assert "The configuration has changed since you looked." in conflict.text
    assert "It is inactive already." in browser.get(path).text
    assert browser.act("/actions/model-status?model=ember&status=active").status == 303
    for wrong in ("model=nothing&status=active", "model=ember&status=deleted", "status=active"):
        assert browser.get(f"/actions/model-status?{wrong}").status == 404
