"""The housekeeping part: partitions ahead of time, and what only has to be remembered for a while."""

from typing import Any, Final

import psycopg

from centralcloud.runtime.database import Database
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.loops import Part
from centralcloud.store import queries
from centralcloud.store.partitions import ensure_partitions

log = get_logger(__name__)

_TRIM_DECISION_IDS = queries.load("trim_decision_ids")
_TRIM_SCORE_UPDATES = queries.load("trim_score_updates")
_TRIM_IDLE_RUNS = queries.load("trim_idle_runs")
#: Rows a transaction: short enough that nobody waits for it.
_TRIM_BATCH: Final = 10_000


class Maintenance(Part):
    """Runs at the start and then when woken (the daemon's schedule does that); safe in any number of replicas at once."""

    def __init__(
        self, database: Database, *, weeks_ahead: int, resend_window_days: int, score_update_retention_days: int
    ) -> None:
        super().__init__("maintenance", database, interval_seconds=None)
        self._weeks_ahead = weeks_ahead
        self._resend_window = f"{resend_window_days} days"
        self._retention = f"{score_update_retention_days} days"

    def run_once(self) -> bool:
        """One round; True when there is more to trim."""
        made = ensure_partitions(self.database, self._weeks_ahead)
        trimmed_ids = self._trim(_TRIM_DECISION_IDS, window=self._resend_window, limit=_TRIM_BATCH)
        trimmed_updates = self._trim(_TRIM_SCORE_UPDATES, retention=self._retention)
        trimmed_runs = self._trim(_TRIM_IDLE_RUNS)
        if made or trimmed_ids or trimmed_updates or trimmed_runs:
            log.info(
                "maintenance_done",
                partitions_made=made,
                decision_ids_trimmed=trimmed_ids,
                score_updates_trimmed=trimmed_updates,
                idle_runs_trimmed=trimmed_runs,
            )
        return trimmed_ids == _TRIM_BATCH

    def _trim(self, query: bytes, **parameters: Any) -> int:
        with self.database.transaction() as connection:
            cursor: psycopg.Cursor[Any] = connection.execute(query, parameters)
            return cursor.rowcount
