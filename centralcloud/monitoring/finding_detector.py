"""The background task that detects findings, and the query that lists them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import psycopg
from prometheus_client import CollectorRegistry, Gauge

from centralcloud.ingest.clock_behind import SERVER_CLOCK_BEHIND
from centralcloud.ingest.instance_clocks import INSTANCE_CLOCK_BEHIND
from centralcloud.ingest.name_limits import as_parameters, read_name_limits
from centralcloud.learning.model_versions import ALTERNATING_SWITCHES
from centralcloud.learning.run_findings import FINDING_KINDS as RUN_FINDING_KINDS
from centralcloud.monitoring.budget_alerts import BUDGET_ALERT, detect_budget_alerts
from centralcloud.monitoring.experiment_findings import EXPERIMENT_FINDING_KINDS, detect_experiment_findings
from centralcloud.monitoring.experiment_states import read_experiment_states
from centralcloud.monitoring.finding_rules import (
    FINDING_KINDS,
    FindingThresholds,
    LifetimeOutcomes,
    RecentOutcomes,
    detect_findings,
)
from centralcloud.monitoring.history_monitor import HISTORY_FINDING
from centralcloud.monitoring.input_rules import INPUT_FINDING_KINDS, IgnoredField, detect_input_findings
from centralcloud.monitoring.message_balance import UNACCOUNTED_FINDING, MessageBalance
from centralcloud.monitoring.name_findings import NEW_NAMES_REFUSED, RefusedNames, detect_refused_names
from centralcloud.monitoring.task_health import TASK_DEGRADED
from centralcloud.monitoring.version_findings import (
    ALTERNATING_VERSIONS,
    MODEL_CHANGED,
    AlternatingVersion,
    RecentModelChange,
    detect_alternating_versions,
    detect_model_changes,
)
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import LONG_LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.store.findings import Finding, close_stale_findings, replace_findings
from centralcloud.store.leases import acquire_lease, release_lease
from centralcloud.store.sequences import require_sequences

log = get_logger(__name__)

_LEASE: Final = "findings"
_CLOCK_KINDS: Final = ("server_clock_jumped", SERVER_CLOCK_BEHIND, INSTANCE_CLOCK_BEHIND)
_KINDS: Final = (
    *FINDING_KINDS,
    *INPUT_FINDING_KINDS,
    NEW_NAMES_REFUSED,
    UNACCOUNTED_FINDING,
    BUDGET_ALERT,
    MODEL_CHANGED,
    ALTERNATING_VERSIONS,
    *EXPERIMENT_FINDING_KINDS,
)
#: Every kind of finding, those of the learner first.
ALL_KINDS: Final = (*RUN_FINDING_KINDS, *_KINDS, HISTORY_FINDING, TASK_DEGRADED, *_CLOCK_KINDS)
#: Findings that hold only while a process confirms them, and for how long after the last time.
_CONFIRMED_WITHIN_SECONDS: Final = {TASK_DEGRADED: 600.0, SERVER_CLOCK_BEHIND: 3600.0, INSTANCE_CLOCK_BEHIND: 3600.0}


class OpenFindings(NamedTuple):
    """The open findings of a kind: how many, and the largest share of the fleet's traffic (0 to 1) that one concerns."""

    kind: str
    number: int
    traffic_share: float | None


_RECENT_PAIR_OUTCOMES = Query(__package__, "recent_pair_outcomes", row=RecentOutcomes)
_LIFETIME_OUTCOMES = Query(__package__, "lifetime_outcomes", row=LifetimeOutcomes)
_RECENT_IGNORED_VALUES = Query(__package__, "recent_ignored_values", row=IgnoredField)
_FORGET_IGNORED_VALUES = Query(__package__, "forget_ignored_values")
_REFUSED_NAMES = Query(__package__, "refused_names", row=RefusedNames)
_RECENT_MODEL_CHANGES = Query(__package__, "recent_model_changes", row=RecentModelChange)
_ALTERNATING_VERSIONS = Query(__package__, "alternating_versions", row=AlternatingVersion)
_COUNT_OPEN_FINDINGS = Query(__package__, "count_open_findings", row=OpenFindings)
_WEIGH_FINDINGS = Query(__package__, "weigh_findings")
_LIST_FINDINGS = Query(__package__, "list_findings", row=dict)


class FindingMetrics:
    """The open findings as Prometheus metrics. A replica shows them only while it is the one that detects."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._open = Gauge(
            "centralcloud_findings_open",
            "Open findings in the database, by kind; shown by the replica that counted them",
            ["kind"],
            registry=registry,
        )
        self._traffic_share = Gauge(
            "centralcloud_findings_traffic_share",
            "Share of the fleet's decisions (0 to 1) that the open finding with the most traffic concerns, by kind",
            ["kind"],
            registry=registry,
        )
        self._known = {*_KINDS, HISTORY_FINDING}

    def set(self, found: Iterable[OpenFindings] | None) -> None:
        """Replace the numbers; a kind that is not among them has 0. None, when another replica counts, shows nothing."""
        if found is None:
            self._open.clear()
            self._traffic_share.clear()
            return
        by_kind = {each.kind: each for each in found}
        self._known |= by_kind.keys()
        for kind in self._known:
            each = by_kind.get(kind, OpenFindings(kind, 0, None))
            self._open.labels(kind=kind).set(each.number)
            self._traffic_share.labels(kind=kind).set(each.traffic_share or 0)


class FindingDetector(BackgroundTask):
    """Runs once at the start and then at every interval. One replica at a time does the work."""

    def __init__(
        self,
        database: Database,
        *,
        thresholds: FindingThresholds | None = None,
        metrics: FindingMetrics | None = None,
        interval_seconds: float = 60.0,
        read_thresholds: Callable[[psycopg.Connection[Any]], FindingThresholds] | None = None,
    ) -> None:
        """Take the thresholds from `read_thresholds`, anew for each run, or else from `thresholds`.

        After three times `interval_seconds` without a run another replica takes over.
        """
        super().__init__("findings", database, interval_seconds=interval_seconds)
        self.longest_run_seconds = LONG_LIMIT_SECONDS
        fixed = thresholds or FindingThresholds()
        self._read_thresholds = read_thresholds or (lambda _: fixed)
        self._lease_seconds = 3 * interval_seconds
        self._metrics = metrics
        self._balance = MessageBalance()

    def run_once(self) -> bool:
        """Open what is detected, close what no longer holds, and weigh and count the open findings of every kind."""
        with self.database.transaction(limit_seconds=LONG_LIMIT_SECONDS) as connection:
            require_sequences(connection, ("public.findings",))
            has_lease = acquire_lease(connection, _LEASE, seconds=self._lease_seconds)
            found = self._detect(connection) if has_lease else None
        if found is None:
            log.debug("findings_left_to_another_replica")
        if self._metrics:
            self._metrics.set(found)
        return False

    def on_stop(self) -> None:
        """Release the lease."""
        release_lease(self.database, _LEASE)

    def _detect(self, connection: psycopg.Connection[Any]) -> list[OpenFindings]:
        thresholds = self._read_thresholds(connection)
        recent = _RECENT_PAIR_OUTCOMES.all(connection)
        lifetime = _LIFETIME_OUTCOMES.all(connection)
        _FORGET_IGNORED_VALUES.run(connection)
        ignored = _RECENT_IGNORED_VALUES.all(connection)
        unaccounted = self._balance.sample(connection)
        found = [
            *detect_findings(recent, lifetime, thresholds),
            *detect_input_findings(recent, ignored, thresholds),
            *_refused_names(connection),
            *detect_budget_alerts(connection),
            *detect_model_changes(_RECENT_MODEL_CHANGES.all(connection)),
            *detect_alternating_versions(_ALTERNATING_VERSIONS.all(connection, {"switches": ALTERNATING_SWITCHES})),
            *detect_experiment_findings(read_experiment_states(connection).states),
            *(unaccounted or []),
        ]
        known = [kind for kind in _KINDS if kind != UNACCOUNTED_FINDING or unaccounted is not None]
        replace_findings(connection, known, found)
        for kind, seconds in _CONFIRMED_WITHIN_SECONDS.items():
            close_stale_findings(connection, kind, seconds=seconds)
        _WEIGH_FINDINGS.run(connection)
        return _COUNT_OPEN_FINDINGS.all(connection)


def _refused_names(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    limits = read_name_limits(connection)
    return detect_refused_names(_REFUSED_NAMES.all(connection, as_parameters(limits)), limits)


def list_findings(
    connection: psycopg.Connection[Any], *, with_closed: bool = False, kind: str | None = None
) -> list[dict[str, Any]]:
    """Return findings, those that concern the most traffic first: the columns of ``list_findings.sql``.

    `traffic_share` is the share of the fleet's decisions of 24 hours (0 to 1); None: not weighed yet, or no decisions.
    """
    return _LIST_FINDINGS.all(connection, {"with_closed": with_closed, "kind": kind})
