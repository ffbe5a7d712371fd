"""Send events, and ingest them."""

from typing import Any

from centralcloud.ingest.drain import drain
from centralcloud.runtime.postgres.database import Database
from support.events import send


def ingest(database: Database, url: str, events: list[dict[str, Any]]) -> None:
    """Send `events`, and ingest everything in the queue."""
    send(url, events)
    drain(database, batch_size=1000)
