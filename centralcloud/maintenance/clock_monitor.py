"""The background task that watches the server's clock."""

from typing import Final

from centralcloud.maintenance.clock import ServerClock
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask

log = get_logger(__name__)

_INTERVAL_SECONDS: Final = 60.0

_RELEASE_FUTURE_MESSAGES = Query(__package__, "release_future_messages")


class ClockMonitor(BackgroundTask):
    """Looks at the clock once a minute, so that maintenance, which runs seldom, knows of every jump.

    After a jump back, and at the start, it makes messages visible that were sent or leased by the later clock.
    """

    def __init__(self, database: Database, clock: ServerClock, *, interval_seconds: float = _INTERVAL_SECONDS) -> None:
        super().__init__("clock-monitor", database, interval_seconds=interval_seconds)
        self._clock = clock
        self._must_release = True

    def run_once(self) -> bool:
        """Look once."""
        self._must_release |= self._clock.observe().went_back
        if self._must_release:
            with self.database.transaction() as connection:
                released = _RELEASE_FUTURE_MESSAGES.run(connection)
            self._must_release = False
            if released:
                log.warning("future_messages_released", count=released, reason="the server's clock was ahead")
        return False
