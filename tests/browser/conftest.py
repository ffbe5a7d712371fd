"""A real Chromium, and dashboards over three databases: a day of life, nothing, and too much of everything.

`make browser` runs these tests. They are not among those of `make test`: Chromium is large, and not everywhere.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.browsers import FLAGS, Site, Visit, start_dashboard
from support.dashboard_life import HOSTILE, fill_with_a_day, fill_with_many, fill_with_requests
from support.known_experiments import fill_with_experiments
from support.programs import Program, programs_in
from support.repository import REPOSITORY
from support.servers import new_database
from support.upstream.fixtures import *  # noqa: F403
from support.upstream.process import FakeUpstream

_CHROMIUM = "/usr/bin/chromium"
_AXE = REPOSITORY / ".venv/browser/package/axe.min.js"


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    return None if config.option.browser else True


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser, for the session."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make browser` does it")
    if not Path(_CHROMIUM).exists():
        pytest.skip(f"no {_CHROMIUM} here: it is Debian's package chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core."""
    if not _AXE.exists():
        pytest.skip("no axe-core here: `make browser` gets it from npm")
    return _AXE.read_text()


@pytest.fixture(scope="session")
def session_start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Program]]:
    """Starts programs that run until the end of the session."""
    with programs_in(tmp_path_factory.mktemp("programs")) as start_one:
        yield start_one


@pytest.fixture(scope="session")
def day_url(
    server: str,
    template: str,
    session_start: Callable[..., Program],
    running_upstream: FakeUpstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """A database with a day of life."""
    with new_database(server, template) as url:
        fill_with_a_day(url)
        fill_with_requests(url, tmp_path_factory.mktemp("gateway"), running_upstream, session_start)
        fill_with_experiments(url)
        yield url


@pytest.fixture(scope="session")
def day(day_url: str, session_start: Callable[..., Program]) -> Site:
    """The dashboard of a day of life."""
    return start_dashboard(session_start, day_url)


@pytest.fixture(scope="session")
def empty(server: str, template: str, session_start: Callable[..., Program]) -> Iterator[Site]:
    """The dashboard of an empty database."""
    with new_database(server, template) as url:
        yield start_dashboard(session_start, url)


@pytest.fixture(scope="session")
def crowded(server: str, template: str, session_start: Callable[..., Program]) -> Iterator[Site]:
    """The dashboard of a hundred models and a thousand instances, some under hostile names."""
    with new_database(server, template) as url:
        fill_with_many(url)
        fill_with_experiments(url, name=HOSTILE[0] + "m" * 150, model=HOSTILE[3])
        yield start_dashboard(session_start, url)


@pytest.fixture
def visit(chromium: Any) -> Iterator[Visit]:
    """Opens pages, each in a context of its own, and checks at the end that none complained."""
    with Visit(chromium) as visit:
        yield visit
