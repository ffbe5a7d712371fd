"""An event publisher whose caller never waits: a thread loads the settings and the database driver.

Imports nothing heavy itself.
"""

import os
import threading
import time
import traceback
from typing import TYPE_CHECKING, Final

from centralcloud.contracts import CentralCloudError, SettingsError
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.process.lifecycle import at_exit
from instance_agent.sync.event_queue import EventQueue

if TYPE_CHECKING:
    from instance_agent.sync.event_publisher import EventPublisher

log = get_logger(__name__)

#: How long the interpreter waits at its exit for events that are still in memory, from the end of the imports on.
EXIT_SECONDS: Final = 2.0
#: For the log: why events are lost that are published after the end.
STOPPED: Final = "the publisher was closed before they were published"
#: How long a fork and a close wait for the imports of the loading thread: a child cannot finish a module that is half
#: imported, and on a slow machine the imports alone may take as long as EXIT_SECONDS.
_IMPORT_SECONDS: Final = 10.0
#: One of these names a database, or switches publishing off.
_VARIABLES: Final = (
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "INSTANCE_AGENT_DATABASE_URL",
    "INSTANCE_AGENT_DATABASE_URL_FILE",
    "EX_LLM_PGMQ_ENABLED",
)


class DeferredPublisher:
    """A queue in memory, and a thread that prepares an `EventPublisher` for it.

    Used once, not after `close`, and only by the process that created it, not by its forks.
    """

    def __init__(self, *, database_url: str | None, instance_id: str) -> None:
        """Start the thread. None: the URL comes from the environment.

        Raises:
            SettingsError: no database is set.
            CentralCloudError: no thread can start, because the process has too many or the interpreter ends.
        """
        if database_url is None and not any(os.environ.get(name) for name in _VARIABLES):
            from centralcloud.runtime.settings import HOW_TO_NAME_A_DATABASE

            raise SettingsError(f"DATABASE_URL is not set: {HOW_TO_NAME_A_DATABASE}")
        self._database_url = database_url
        self._instance_id = instance_id
        self._queue = EventQueue()
        self._publisher: EventPublisher | None = None
        self._running = False
        self._closing = False
        self._given_up = False
        self._failure: CentralCloudError | None = None
        #: The work of the thread now, for a caller that does not wait for its end.
        self._step = "loading the database driver"
        self._imported = threading.Event()
        self._may_fork = threading.Event()
        self._starter = threading.Thread(target=self._start, name="publisher-start", daemon=True)
        self._cancel_exit = at_exit(self.close)
        try:
            self._starter.start()
        except RuntimeError as error:
            self._cancel_exit()
            raise CentralCloudError(f"events cannot be published: {error}") from None

    def publish_text(self, text: str) -> None:
        """Add one event, as JSON text, to the queue. Returns immediately; an event that is lost is logged and counted.

        Raises:
            SettingsError: the thread has found that a setting is wrong.
            CentralCloudError: the thread failed for another reason.
        """
        self._raise_failure()
        if self._running and self._publisher is not None:
            self._publisher.publish_text(text)
        else:
            self._queue.append(text)

    def wait_until_ready(self) -> None:
        """Wait until the settings are checked and the publisher runs.

        Raises:
            SettingsError: a setting is wrong.
            CentralCloudError: the publisher cannot run for another reason.
        """
        self._starter.join()
        self._raise_failure()

    def wait_until_imported(self) -> None:
        """Wait until the thread has imported the database driver."""
        if threading.current_thread() is not self._starter:
            self._imported.wait(_IMPORT_SECONDS)

    def wait_until_it_may_fork(self) -> None:
        """Wait until a fork finds no module half imported: reading the settings imports some, too."""
        if threading.current_thread() is not self._starter:
            self._may_fork.wait(_IMPORT_SECONDS)

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until every event was sent; False when time is up before, or when events were lost.

        Raises:
            SettingsError: a setting is wrong.
            CentralCloudError: the publisher failed for another reason.
        """
        deadline = time.monotonic() + timeout_seconds
        self._starter.join(timeout_seconds)
        self._raise_failure()
        if self._publisher is not None:
            self._publisher.wake()
        return self._queue.wait_until_empty(max(0.0, deadline - time.monotonic()))

    def close(self, timeout_seconds: float = EXIT_SECONDS) -> bool:
        """Send the events in memory, and stop. Safe to call twice.

        The time begins when the thread has imported the database driver, which takes seconds on a slow machine.

        When time is up before, the events that wait are dropped and logged, and the threads, which then have nothing to do,
        end by themselves after the import or the attempt to connect that they are in.

        Returns:
            False when events were not sent, because the database did not accept them in time: those in the spool are sent
            by the next start, the others are lost. They are logged.
        """
        self._cancel_exit()
        if self._closing:
            return True
        self._closing = True
        self.wait_until_imported()
        deadline = time.monotonic() + timeout_seconds
        self._starter.join(timeout_seconds)
        publisher = self._publisher
        reason = f"the database did not accept them in {timeout_seconds:g} seconds"
        if not self._imported.is_set():
            reason = f"the publisher was not ready in {_IMPORT_SECONDS:g} seconds: it was still {self._step}"
        elif self._starter.is_alive():
            reason = f"the publisher was not ready in {timeout_seconds:g} seconds: it was still {self._step}"
        elif publisher is not None and self._running:
            publisher.stop()
            publisher.join(max(0.0, deadline - time.monotonic()))
        elif publisher is not None and self._failure is None:
            reason = self._send_from_here(publisher) or reason
        self._given_up = (
            True  # before the queue and the pool are closed: the loading thread reads it after it opened them
        )
        if publisher is not None:
            lost = publisher.give_up(reason)
            publisher.database.close()
        else:
            lost = self._queue.close(reason, later=STOPPED)
        return not lost and not self._queue.kept and self._failure is None

    def before_end(self, ends: bool) -> None:
        """Send the events in memory in a signal handler, and keep in the spool what could not be sent.

        Args:
            ends: whether the process ends right afterwards: events that are neither sent nor kept are then lost and logged.
        """
        self._starter.join(EXIT_SECONDS)
        if not self._starter.is_alive():  # otherwise nothing can send
            self._queue.wait_until_empty(EXIT_SECONDS)
        publisher = self._publisher
        if publisher is None:
            if ends:
                self._queue.close("the process received SIGTERM", later=STOPPED)
        elif ends:
            publisher.give_up("the process received SIGTERM, and the database did not accept them in 2 seconds")
        else:
            publisher.keep_in_spool()

    def abandon(self) -> None:
        """Leave the files of the spool to the parent, in the child of a fork."""
        if self._publisher is not None:
            self._publisher.abandon()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise type(self._failure)(str(self._failure))

    def _start(self) -> None:
        try:
            self._load()
        except Exception as error:  # noqa: BLE001 - logged, and raised by the next call
            log.error("publisher_not_started", **self._refuse(error))
        finally:
            self._imported.set()
            self._may_fork.set()

    def _load(self) -> None:
        import structlog  # noqa: F401 - the publisher's thread would import it, perhaps during a fork

        from centralcloud.runtime.postgres.database import Database
        from centralcloud.runtime.settings import load_settings
        from instance_agent.publisher_assembly import make_publisher
        from instance_agent.settings import AgentSettings

        self._step = "reading the settings"
        self._imported.set()
        settings = load_settings(AgentSettings, database_url=self._database_url, instance_id=self._instance_id)
        self._may_fork.set()
        if not settings.pgmq_enabled:
            self._queue.disable()
            return
        self._queue.size, self._queue.max_bytes = settings.publish_queue_size, settings.publish_queue_bytes
        if self._given_up:
            return
        url = settings.database  # read once: it may come from a pipe
        self._step = _opening(url)
        name = f"instance-agent/{self._instance_id}"
        database = Database(url, application_name=name, own_connections=1)
        # Again, because an embedded server has registered its stop meanwhile, and the newest function is called first.
        # Beside the first one and not in its place: the interpreter may be at its end now, and would then call neither.
        first, again = self._cancel_exit, at_exit(self.close)

        def cancel() -> None:
            first()
            again()

        self._cancel_exit = cancel
        publisher = make_publisher(settings, database, self._queue)
        publisher.on_crash = self._log_crash
        publisher.stopped_because = STOPPED
        try:
            self._run(publisher)
        finally:
            if self._given_up or not self._publisher:
                publisher.stop()
                database.close()

    def _run(self, publisher: "EventPublisher") -> None:
        self._publisher = publisher
        try:
            publisher.database.open()
            publisher.start()
            self._running = True
        except RuntimeError as error:
            # At the end of the interpreter no thread can start: close() sends the events.
            if not (self._closing or "interpreter shutdown" in str(error)):
                self._publisher = None
                raise

    def _send_from_here(self, publisher: "EventPublisher") -> str | None:
        """Send the events in this thread: the interpreter ended before the publisher's threads could start.

        Returns:
            The reason why they could not be sent; None: they were.
        """
        from centralcloud.runtime.postgres.errors import is_database_error, summarize_error

        try:
            publisher.send_remaining(connect_seconds=EXIT_SECONDS)
        except Exception as error:
            if not is_database_error(error):
                raise
            return summarize_error(error)
        return None

    def _log_crash(self, task: str, error: BaseException) -> None:
        log.error("background_task_failed", task=task, **self._refuse(error))

    def _refuse(self, error: BaseException) -> dict[str, object]:
        """Drop the events that wait and refuse the next ones, because of `error`. Returns what the log says about it."""
        if isinstance(error, CentralCloudError):
            reason, where = str(error), {}
        else:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            where = {"traceback": traceback.format_exception(error)}
        cannot = f"events cannot be published: {reason}"
        self._failure = SettingsError(reason) if isinstance(error, SettingsError) else CentralCloudError(cannot)
        return {"error": reason, "lost": self._queue.close(cannot), **where}


def _opening(url: str) -> str:
    from centralcloud.runtime.postgres.url import EMBEDDED_PREFIX

    if url.strip().startswith(EMBEDDED_PREFIX):
        return "starting the embedded PostgreSQL server (to create one takes several seconds: call start() before)"
    return "opening the database"
