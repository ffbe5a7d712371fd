"""A background task that counts its runs."""

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process.background import BackgroundTask


class Counting(BackgroundTask):
    """Counts its runs; fails with the given errors first."""

    def __init__(
        self, database: Database, *, interval_seconds: float | None = None, failures: list | None = None
    ) -> None:
        super().__init__("counting", database, interval_seconds=interval_seconds)
        self.runs = 0
        self.more = 0
        self.failures = failures or []
        self.released = False

    def run_once(self) -> bool:
        self.runs += 1
        if self.failures:
            raise self.failures.pop(0)
        self.more -= 1
        return self.more > 0

    def on_stop(self) -> None:
        self.released = True


def stop(task: BackgroundTask) -> None:
    task.stop()
    assert task.join(5)
