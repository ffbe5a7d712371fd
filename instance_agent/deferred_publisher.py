"""An event publisher whose caller never waits: a thread loads the settings and the database driver.

Imports nothing heavy itself.
"""

import atexit
import os
import threading
import time
from typing import TYPE_CHECKING, Final

from centralcloud.contracts import CentralCloudError, SettingsError
from centralcloud.runtime.logs import get_logger
from instance_agent.sync.event_queue import EventQueue

if TYPE_CHECKING:
    from instance_agent.sync.event_publisher import EventPublisher

log = get_logger(__name__)

#: Until the settings are read.
_QUEUE_SIZE: Final = 10_000
#: How long the interpreter waits at its exit for events that are still in memory.
EXIT_SECONDS: Final = 2.0
#: One of these names a database, or switches publishing off.
_VARIABLES: Final = (
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "INSTANCE_AGENT_DATABASE_URL",
    "INSTANCE_AGENT_DATABASE_URL_FILE",
    "EX_LLM_PGMQ_ENABLED",
)


class DeferredPublisher:
    """A queue in memory, and a thread that prepares an `EventPublisher` for it. Used once: not after `close`."""

    def __init__(self, *, database_url: str | None, instance_id: str) -> None:
        """Start the thread. None: the URL comes from the environment.

        Raises:
            SettingsError: no database is set.
        """
        if database_url is None and not any(os.environ.get(name) for name in _VARIABLES):
            from centralcloud.runtime.settings import HOW_TO_NAME_A_DATABASE

            raise SettingsError(f"DATABASE_URL is not set: {HOW_TO_NAME_A_DATABASE}")
        self._database_url = database_url
        self._instance_id = instance_id
        self._queue = EventQueue(_QUEUE_SIZE)
        self._publisher: EventPublisher | None = None
        self._running = False
        self._disabled = False
        self._closing = False
        self._wrong_settings: str | None = None
        self._starter = threading.Thread(target=self._start, name="publisher-start", daemon=True)
        self._starter.start()
        atexit.register(self.close)

    def publish_text(self, text: str) -> None:
        """Add one event, as JSON text, to the queue. Returns immediately.

        Raises:
            SettingsError: the thread has found that a setting is wrong.
        """
        self._raise_wrong_settings()
        if self._disabled:
            return
        if self._publisher is not None:
            self._publisher.publish_text(text)
        elif not self._queue.append(text):
            self._queue.dropped += 1

    def wait_until_ready(self) -> None:
        """Wait until the settings are checked and the publisher runs.

        Raises:
            SettingsError: a setting is wrong.
        """
        self._starter.join()
        self._raise_wrong_settings()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until every event was sent; False when time is up before.

        Raises:
            SettingsError: a setting is wrong.
        """
        deadline = time.monotonic() + timeout_seconds
        self._starter.join(timeout_seconds)
        self._raise_wrong_settings()
        if self._publisher is not None:
            self._publisher.wake()
        return self._queue.wait_until_empty(max(0.0, deadline - time.monotonic()))

    def close(self, timeout_seconds: float = EXIT_SECONDS) -> bool:
        """Send the events in memory, and stop. Safe to call twice.

        Returns:
            False when events were lost, because the database did not accept them in time; they are logged.
        """
        atexit.unregister(self.close)
        if self._closing:
            return True
        self._closing = True
        deadline = time.monotonic() + timeout_seconds
        self._starter.join(timeout_seconds)
        if (publisher := self._publisher) is not None:
            publisher.stop()
            if self._running and not publisher.join(max(0.0, deadline - time.monotonic())):
                self._log_lost(f"the database did not accept them in {timeout_seconds:g} seconds")
                return False
            if not self._running:
                self._send_from_here(publisher)
            publisher.database.close()
        return not len(self._queue) and self._wrong_settings is None

    def _raise_wrong_settings(self) -> None:
        if self._wrong_settings is not None:
            raise SettingsError(self._wrong_settings)

    def _start(self) -> None:
        try:
            self._load()
        except CentralCloudError as error:
            self._wrong_settings = str(error)
            log.error("publisher_not_started", reason=str(error), lost=len(self._queue.take_all()))

    def _load(self) -> None:
        from centralcloud.runtime.postgres.database import Database
        from centralcloud.runtime.settings import load_settings
        from instance_agent.settings import AgentSettings
        from instance_agent.sync.event_publisher import EventPublisher

        settings = load_settings(AgentSettings, database_url=self._database_url, instance_id=self._instance_id)
        if not settings.pgmq_enabled:
            self._disabled = True
            self._queue.take_all()
            return
        self._queue.size = settings.publish_queue_size
        name = f"instance-agent/{self._instance_id}"
        database = Database(settings.database, application_name=name, own_connections=1)
        # Again, because an embedded server has registered its stop meanwhile, and the newest function is called first.
        atexit.unregister(self.close)
        atexit.register(self.close)
        publisher = EventPublisher(database, queue=self._queue)
        publisher.on_crash = _log_crash
        self._publisher = publisher
        try:
            database.open()
            publisher.start()
            self._running = True
        except RuntimeError:
            if not self._closing:  # otherwise the interpreter ends, and no thread can start: close() sends the events
                raise

    def _send_from_here(self, publisher: "EventPublisher") -> None:
        """Send the events in this thread: the interpreter ended before the publisher's threads could start."""
        from centralcloud.runtime.postgres.errors import is_database_error, summarize_error

        try:
            publisher.send_remaining(connect_seconds=EXIT_SECONDS)
        except Exception as error:
            if not is_database_error(error):
                raise
            self._log_lost(summarize_error(error))

    def _log_lost(self, reason: str) -> None:
        log.warning("events_dropped", count=len(self._queue), reason=reason)


def _log_crash(task: str, error: BaseException) -> None:
    log.error("background_task_failed", task=task, error=repr(error))
