"""Events for the database, where one is set: sent in the background, and never in a request's way."""

import os
from collections.abc import Sequence
from typing import Final

from centralcloud.contracts import CentralCloudError, RoutingEvent
from centralcloud.runtime.logs import get_logger
from instance_agent.deferred_publisher import DeferredPublisher
from instance_agent.settings import AgentSettings

log = get_logger(__name__)

#: One of these names a database.
DATABASE_VARIABLES: Final = (
    "DATABASE_URL", "DATABASE_URL_FILE", "INSTANCE_AGENT_DATABASE_URL", "INSTANCE_AGENT_DATABASE_URL_FILE",
)  # fmt: skip


class DeferredEvents:
    """Sends the events of one process. An error of it is logged once: the requests go on, without events."""

    def __init__(self, publisher: DeferredPublisher) -> None:
        self._publisher = publisher
        self._failed = False

    @classmethod
    def of_settings(cls, settings: AgentSettings) -> "DeferredEvents | None":
        """Return the sender for these settings; None without a database, or where publishing is off."""
        if not settings.pgmq_enabled or not any(os.environ.get(name) for name in DATABASE_VARIABLES):
            return None
        return cls(DeferredPublisher(database_url=None, instance_id=settings.instance_id))

    def publish_together(self, events: Sequence[RoutingEvent]) -> None:
        """Add events to the queue. Returns at once and raises nothing."""
        try:
            for event in events:
                self._publisher.publish_text(event.to_json())
        except CentralCloudError as error:
            if not self._failed:
                self._failed = True
                log.error("events_not_published", reason=str(error), effect="models are called without events")

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until every event was sent; False when time is up before, or where the sender has failed."""
        try:
            return self._publisher.flush(timeout_seconds)
        except CentralCloudError:
            return False  # logged when it failed

    def wait_until_it_may_fork(self) -> None:
        """Wait until the process may fork."""
        self._publisher.wait_until_it_may_fork()

    def abandon(self) -> None:
        """Leave everything to the parent, in the child of a fork."""
        self._publisher.abandon()

    def close(self) -> None:
        """Send the events that wait, within 2 seconds, and stop."""
        self._publisher.close()
