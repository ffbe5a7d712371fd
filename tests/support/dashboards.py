"""Dashboards in tests: served from this process, on a free port."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from centralcloud.dashboard.pages.registry import PAGES
from centralcloud.dashboard.program import Dashboard
from centralcloud.dashboard.settings import DashboardSettings
from centralcloud.dashboard.web.page import Page
from centralcloud.runtime.postgres.database import Database


@contextmanager
def a_dashboard(database: Database, *, pages: Sequence[Page] = PAGES, **settings: Any) -> Iterator[Dashboard]:
    """Serve the dashboard, for the context."""
    values = {"port": 0, **settings}
    with Dashboard(database, DashboardSettings.model_construct(**values), pages=pages) as dashboard:
        yield dashboard
