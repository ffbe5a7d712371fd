"""A table that cannot be used for a moment: a tool renames it, or a managed service turns row-level security on."""

import pytest
from support.fleet import a_fleet
from support.servers import execute
from support.waiting import eventually

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import ROW_SECURITY_ADVICE
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


def test_a_table_with_row_level_security_is_waited_for_by_name(server: str, caplog: pytest.LogCaptureFixture) -> None:
    class Counting(BackgroundTask):
        def run_once(self) -> bool:
            with self.database.transaction() as connection:
                connection.execute("SELECT count(*) FROM public.decision_ids")
            return False

    crashes: list[tuple[str, BaseException]] = []
    with a_fleet(server) as fleet, Database(fleet.worker, application_name="tests") as worker:
        task = Counting("counting", worker, interval_seconds=0.02)
        task.on_crash = lambda name, error: crashes.append((name, error))
        task.start()
        try:
            execute(fleet.admin, "ALTER TABLE decision_ids ENABLE ROW LEVEL SECURITY")
            eventually(lambda: worker.unavailable_reason.startswith("row_level_security: query would be affected"))
            assert ROW_SECURITY_ADVICE in worker.unavailable_reason
            execute(fleet.admin, "ALTER TABLE decision_ids DISABLE ROW LEVEL SECURITY")
            eventually(lambda: not worker.unavailable)
        finally:
            task.stop()
            task.join(5)
    assert not crashes
    assert "row_level_security" in caplog.text
