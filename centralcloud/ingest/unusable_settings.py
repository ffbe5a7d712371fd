"""Values of the database that ingest cannot use: a change is logged, not every batch that meets them."""

import threading

import psycopg


class UnusableSettings:
    """Remembers why stored settings cannot be used, to log each reason once, and once that they are usable again.

    One object serves every consumer of a process, so that a reason is logged once for all of them.
    """

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, int, str], str] = {}
        self._lock = threading.Lock()

    def changed(self, connection: psycopg.Connection[object], reason: str | None) -> bool:
        """Whether `reason` differs from the last one about the connection's database. None: the settings are usable."""
        info = connection.info
        database = (info.host, info.port, info.dbname)
        with self._lock:
            before = self._reasons.pop(database, None)
            if reason is not None:
                self._reasons[database] = reason
        return reason != before
