"""A table that is renamed for a moment, by a tool that rebuilds it for example."""

import pytest
from support.servers import execute
from support.waiting import eventually

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process.background import BackgroundTask


def test_a_table_that_vanishes_for_a_moment_is_waited_for(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Counting(BackgroundTask):
        def run_once(self) -> bool:
            with self.database.transaction() as connection:
                connection.execute("SELECT count(*) FROM public.routing_records")
            return False

    crashes: list[tuple[str, BaseException]] = []
    task = Counting("counting", database, interval_seconds=0.02)
    task.on_crash = lambda name, error: crashes.append((name, error))
    task.start()
    try:
        execute(database_url, "ALTER TABLE routing_records RENAME TO elsewhere")
        eventually(lambda: database.unavailable_reason.startswith('table_missing: relation "public.routing_records"'))
        execute(database_url, "ALTER TABLE elsewhere RENAME TO routing_records")
        eventually(lambda: not database.unavailable)
    finally:
        task.stop()
        task.join(5)
    assert not crashes
    assert "table_missing" in caplog.text
