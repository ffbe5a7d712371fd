"""The dashboard of a demonstration: the pages show the same database, while it lives."""

from collections.abc import Iterator
from contextlib import contextmanager

from centralcloud.contracts import CentralCloudError
from centralcloud.dashboard.program import Dashboard
from centralcloud.dashboard.settings import DEFAULT_PORT, DashboardSettings
from centralcloud.runtime.postgres.database import Database


@contextmanager
def serving_dashboard(database: Database) -> Iterator[str]:
    """Serve the dashboard to this machine, and yield its address: on port 8480, or on a free one where that is taken."""
    dashboard = _dashboard(database)
    with dashboard:
        yield dashboard.url


def _dashboard(database: Database) -> Dashboard:
    try:
        return Dashboard(database, _settings(DEFAULT_PORT))
    except CentralCloudError:  # most likely the port of another dashboard
        return Dashboard(database, _settings(0))


def _settings(port: int) -> DashboardSettings:
    """Return settings of their own: those of the environment are for another database, and for other viewers."""
    return DashboardSettings.model_construct(port=port)
