"""Reading the catalog YAML again when it has changed, in the background: a request never waits for a file."""

from collections.abc import Callable

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process.background import BackgroundTask


class CatalogReloader(BackgroundTask):
    """Looks at the catalog YAML at every interval, and at once after `read_again`."""

    def __init__(self, database: Database, reload: Callable[[bool], object], *, interval_seconds: float) -> None:
        """`reload` reads the YAML if it has changed; its argument says whether to read it in any case."""
        super().__init__("catalog", database, interval_seconds=interval_seconds, connections=0)
        self.uses_database = False
        self._reload = reload
        self._forced = False

    def read_again(self) -> None:
        """Read the YAML now, changed or not."""
        self._forced = True
        self.wake()

    def run_once(self) -> bool:
        forced, self._forced = self._forced, False
        self._reload(forced)
        return False
