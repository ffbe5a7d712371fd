"""The pages of experiments, from a real database to HTML."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.experiments import SAFE, log_of
from support.known_experiments import BETTER, WORSE_KNOWN, Known, begun, configure, store_known, store_verdicts
from support.servers import execute

from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.dashboard.pages import experiment, experiments
from centralcloud.dashboard.reader.lookups import Lookups
from centralcloud.dashboard.reader.snapshot import Snapshot
from centralcloud.dashboard.web.assets import Assets
from centralcloud.dashboard.web.page import Models, Page, PageContext, PageError
from centralcloud.dashboard.web.rendering import Renderer
from centralcloud.runtime.postgres.database import Database

_HOSTILE = "<script>alert('x')</script>"


def show(database: Database, page: Page, **query: str) -> tuple[Models, str]:
    """Return the models of a page and the HTML of its fragments."""
    with database.transaction() as connection:
        values = {source.name: source.read(connection) for source in page.sources}
    now, zone = datetime.now(UTC), ZoneInfo("Europe/Berlin")

    async def build() -> Models:
        context = PageContext(Snapshot(1, now, values), query, zone, now, Lookups(database))
        first = await page.build(context)
        again = await page.build(context)
        assert dict(first) == dict(again), "equal values make equal models, or every second would send the page again"
        return first

    models = asyncio.run(build())
    renderer = Renderer(Assets(), [page])
    return models, "".join(renderer.fragment(page, name, model, zone) for name, model in models.items())


@pytest.fixture
def canary(database_url: str) -> Experiment:
    found = begun(
        3, name=_HOSTILE, treatments=[{"model": "gpt-x"}], plan={"sloMs": 5000}, stage={"step": 1, "share": 0.05}
    )
    configure(database_url, found)
    store_known(database_url, found, BETTER)
    return found


def test_without_experiments_the_list_says_how_to_start_one(database: Database) -> None:
    _, html = show(database, experiments.PAGE)
    assert "No experiment was started yet" in html
    assert "centralcloud experiments start --model MODEL" in html


def test_the_list_has_those_that_run_first_each_with_its_sentence(database_url: str, database: Database) -> None:
    ended = begun(
        9, name="a", treatments=[{"model": "dud"}], stage={"status": "rolledBack", "reason": "fewer successes"}
    )
    paused = begun(5, name="b", treatments=[{"model": "slow"}], stage={"status": "paused", "by_hand": True})
    running = begun(3, name="z", treatments=[{"model": "gpt-x"}])
    configure(database_url, ended, paused, running)
    store_known(database_url, running, BETTER)
    store_known(database_url, ended, WORSE_KNOWN)
    store_verdicts(database_url, ended, (0, "rolledBack", datetime.now(UTC), {"reason": "fewer successes"}))
    models, html = show(database, experiments.PAGE)
    listing: Any = models["list"]
    assert [row.name for row in listing.rows] == ["z", "b", "a"]
    assert "1 experiment runs, 1 is paused" in html
    assert "gpt-x is better than control by 1.2 to 3.4 points of success" in html
    assert "38 requests were served by it, about 11 failed for it" in html
    assert "was rolled back" in html
    assert [row.differs for row in listing.rows] == [None, None, None]


def test_a_treatment_is_marked_as_different_only_where_the_list_is_asked_to_mark(
    database_url: str, database: Database
) -> None:
    test = begun(
        3,
        kind="ab",
        name="three at once",
        treatments=[{"model": name} for name in ("one", "two", "three")],
    )
    configure(database_url, test)
    store_known(database_url, test, BETTER, Known(evidence=2.0), Known(evidence=-2.0))
    models, html = show(database, experiments.PAGE, fdr="10")
    listing: Any = models["list"]
    assert [row.differs for row in listing.rows] == [True, False, False]
    assert "1 of 3 treatments are marked" in html
    assert "at most 10% are expected to be wrong" in html


def test_the_page_of_an_experiment_says_what_is_known_and_escapes_names(
    canary: Experiment, database_url: str, database: Database
) -> None:
    now = datetime.now(UTC)
    facts = {"status": "running", "step": 1, "share": 0.05, "reason": "the next share is within the harm budget"}
    store_verdicts(database_url, canary, (0, "step", now - timedelta(hours=1), facts))
    models, html = show(database, experiment.PAGE, experiment_id=canary.id)
    assert "&lt;script&gt;alert" in html
    assert "<script>" not in html
    assert "5% of the sessions" in html
    assert "gpt-x is better than control by 1.2 to 3.4 points of success (95%; 18,240 outcomes" in html
    assert "gpt-x is cheaper than control by 25.0 to 40.0%" in html
    assert "Slower than 5.0 s" in html
    assert "9,240 requests of gpt-x count so far: 260 failed, about 202 fewer than at control" in html
    assert "stepped up" in html
    assert "ann, by a command" in html
    history: Any = models["history"]
    assert [event.badge[1] for event in history.events] == ["was started", "stepped up"]


def test_a_canary_says_what_it_waits_for(database_url: str, database: Database) -> None:
    found = begun(3, treatments=[{"model": "gpt-x"}], stage={"step": 3, "share": 0.5, "before": 0.25})
    configure(database_url, found)
    store_known(database_url, found, BETTER._replace(facts=SAFE._replace(within_margin=log_of(20), worse=log_of(50))))
    models, html = show(database, experiment.PAGE, experiment_id=found.id)
    stage: Any = models["stage"]
    upward, guards = stage.waiting
    assert upward.title == "It is promoted when all of these are reached"
    met = {each.name: each.is_met for each in upward.conditions}
    assert met["Loses less than 2 points of success"]
    assert not met["Better in success, time or cost"]
    assert not met["Sessions from before the step have ended"]
    fewer = guards.conditions[0]
    assert (fewer.now, fewer.needed, fewer.is_met) == ("1:50", "1:200", False)
    assert "25% until the sessions from before the step have ended" in html


def test_a_silent_daemon_is_said_where_an_experiment_is_open(
    canary: Experiment, database_url: str, database: Database
) -> None:
    execute(database_url, "UPDATE experiment_heartbeat SET seen_at = now() - interval '16 minutes'")
    for page in (experiments.PAGE, experiment.PAGE):
        _, html = show(database, page, **({"experiment_id": canary.id} if page is experiment.PAGE else {}))
        assert "No daemon looks after" in html
        assert "every session to control" in html
    execute(database_url, "UPDATE experiment_heartbeat SET seen_at = now() - interval '14 minutes'")
    _, html = show(database, experiments.PAGE)
    assert "No daemon looks after" not in html


def test_an_experiment_that_is_not_configured_is_a_page_that_says_so(database: Database) -> None:
    with pytest.raises(PageError, match="Found no experiment with the id nothing"):
        show(database, experiment.PAGE, experiment_id="nothing")


def test_an_experiment_that_this_version_cannot_read_is_named_and_hides_no_other(
    canary: Experiment, database_url: str, database: Database
) -> None:
    execute(
        database_url,
        "INSERT INTO configuration_entries (kind, id, body, config_version)"
        ' SELECT kind, \'newer\', body || \'{"id": "newer", "later": 1}\', config_version FROM configuration_entries'
        " WHERE kind = 'experiment'",
    )
    models, html = show(database, experiments.PAGE)
    listing: Any = models["list"]
    assert len(listing.rows) == 1
    assert "this version cannot read it" in html
    assert canary.treatments[0].name == listing.rows[0].treatment
