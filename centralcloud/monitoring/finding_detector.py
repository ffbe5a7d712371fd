"""Looking at what comes in for what an operator should know, and showing it."""

from collections.abc import Callable
from typing import Any, Final, Protocol

import psycopg
from prometheus_client import CollectorRegistry, Gauge
from psycopg.rows import dict_row

from centralcloud.monitoring.finding_rules import (
    FINDING_KINDS,
    FindingThresholds,
    LifetimeOutcomes,
    NewestOutcomes,
    detect_findings,
)
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import LONG_LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.store.findings import replace_findings
from centralcloud.store.leases import acquire_lease, release_lease

log = get_logger(__name__)

_LEASE: Final = "findings"
_NEWEST = Query(__package__, "recent_pair_outcomes")
_LIFETIME = Query(__package__, "lifetime_outcomes")
_COUNT_OPEN = Query(__package__, "count_open_findings")
_LIST = Query(__package__, "list_findings")


class FindingMetrics:
    """How many findings are open in the table, as Prometheus metrics. Nothing from a replica that has not looked last."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._open = Gauge(
            "centralcloud_findings_open",
            "Open findings in the database, by kind; from the replica that has counted them",
            ["kind"],
            registry=registry,
        )
        self._known = set(FINDING_KINDS)

    def set(self, open_by_kind: dict[str, int] | None) -> None:
        """Replace the counts; a kind that is not among them has 0. None: another replica has counted."""
        if open_by_kind is None:
            self._open.clear()
            return
        self._known |= open_by_kind.keys()
        for kind in self._known:
            self._open.labels(kind=kind).set(open_by_kind.get(kind, 0))


class FindingSettings(Protocol):
    """Settings of one look."""

    @property
    def finding(self) -> FindingThresholds:
        """Thresholds of the findings."""


class FindingDetector(BackgroundTask):
    """Runs at the start and then when woken (the daemon's schedule does that); one replica at a time does the work."""

    def __init__(
        self,
        database: Database,
        *,
        limits: FindingThresholds | None = None,
        metrics: FindingMetrics | None = None,
        every_seconds: float = 60.0,
        read_settings: Callable[[psycopg.Connection[Any]], FindingSettings] | None = None,
    ) -> None:
        """Take the thresholds from `read_settings`, anew for each look, or else from `limits`.

        Args:
            every_seconds: how often it is woken; after three times that without a look another replica takes over.
        """
        super().__init__("findings", database, interval_seconds=None)
        self.longest_run_seconds = LONG_LIMIT_SECONDS
        self._limits = limits or FindingThresholds()
        self._read_settings = read_settings
        self._lease_seconds = 3 * every_seconds
        self._metrics = metrics

    def run_once(self) -> bool:
        """One look: opens what it finds, closes what no longer holds, and counts what is open, of whichever part."""
        with self.database.transaction(limit_seconds=LONG_LIMIT_SECONDS) as connection:
            ours = acquire_lease(connection, _LEASE, seconds=self._lease_seconds)
            open_by_kind = self._look(connection) if ours else None
        if open_by_kind is None:
            log.debug("findings_left_to_another_replica")
        if self._metrics:
            self._metrics.set(open_by_kind)
        return False

    def on_stop(self) -> None:
        release_lease(self.database, _LEASE)

    def _look(self, connection: psycopg.Connection[Any]) -> dict[str, int]:
        if self._read_settings is not None:
            self._limits = self._read_settings(connection).finding
        newest = [NewestOutcomes(*row) for row in connection.execute(_NEWEST.text)]
        lifetime = [LifetimeOutcomes(*row) for row in connection.execute(_LIFETIME.text)]
        replace_findings(connection, FINDING_KINDS, detect_findings(newest, lifetime, self._limits))
        return dict(connection.execute(_COUNT_OPEN.text).fetchall())


def list_findings(
    connection: psycopg.Connection[Any], *, with_closed: bool = False, kind: str | None = None
) -> list[dict[str, Any]]:
    """Findings, newest first: the columns of ``list_findings.sql``."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_LIST.text, {"with_closed": with_closed, "kind": kind}).fetchall()
