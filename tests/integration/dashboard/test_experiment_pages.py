"""The pages of experiments, from a real database to HTML."""

import asyncio
from collections.abc import Sequence
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
    found = begun(3, name=_HOSTILE, treatments=[{"model": "gpt-x"}], plan={"sloMs": 5000}, stage={"step": 1, "share": 0.05})
    configure(database_url, found)
    store_known(database_url, found, BETTER)
    return found


def test_without_experiments_the_list_says_how_to_start_one(database: Database) -> None:
    _, html = show(database, experiments.PAGE)
    assert "No experiment was started yet" in html
    assert "centralcloud experiments start --model MODEL" in html


def test_the_list_has_those_that_run_first_each_with_its_sentence(database_url: str, database: Database) -> None:
    ended = begun(9, name="a", treatments=[{"model": "dud"}], stage={"status": "rolledBack", "reason": "fewer successes"})
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
