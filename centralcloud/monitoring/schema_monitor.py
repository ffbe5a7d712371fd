"""Detects that the schema was migrated while a worker runs."""

from typing import Final

from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.store.schema_revision import check_schema

log = get_logger(__name__)

_INTERVAL_SECONDS: Final = 5.0


class SchemaMonitor(BackgroundTask):
    """Checks the schema's revision every few seconds. Fails, and so stops the program, when this code may not run on it."""

    def __init__(self, database: Database) -> None:
        super().__init__("schema-monitor", database, interval_seconds=_INTERVAL_SECONDS)
        self._revision: str | None = None

    def run_once(self) -> bool:
        """Check the revision once.

        Raises:
            SchemaError: a migration has declared this code too old, or was taken back.
        """
        revision = check_schema(self.database)
        if self._revision not in (None, revision):
            log.info("schema_upgraded", before=self._revision, now=revision, effect="this version may still run")
        self._revision = revision
        return False
