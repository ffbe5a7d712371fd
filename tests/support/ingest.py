"""Ingest of everything in the queue, and the counters after it."""

from typing import Any

from centralcloud.ingest.batch_ingest import BatchResult
from centralcloud.ingest.drain import drain
from centralcloud.monitoring.reports import ModelMetrics
from centralcloud.runtime.postgres.database import Database
from support.events import send


def ingest_all(database: Database, batch_size: int = 1000, max_attempts: int = 1) -> BatchResult:
    return drain(database, batch_size=batch_size, max_attempts=max_attempts).result


def metrics_of(database: Database) -> dict[tuple[str, str], dict]:
    with database.transaction() as connection:
        return {(row["model"], row["complexity"]): row for row in ModelMetrics(connection).all()}


def ingest(database: Database, url: str, events: list[dict[str, Any]]) -> None:
    """Send `events`, and ingest everything in the queue."""
    send(url, events)
    drain(database, batch_size=1000)
