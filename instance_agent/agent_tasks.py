"""The background tasks of an instance in one process; the child of a fork has others."""

from collections.abc import Callable, Collection

from centralcloud.contracts import UPDATES_CHANNEL
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_database_error, summarize_error
from centralcloud.runtime.postgres.notifications import NotificationListener
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.process.supervisor import Supervisor
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.publisher_assembly import make_publisher
from instance_agent.settings import AgentSettings
from instance_agent.sync.catalog_reloader import CatalogReloader
from instance_agent.sync.instance_claim import InstanceClaim
from instance_agent.sync.score_updater import ScoreUpdater


class AgentTasks:
    """The tasks, with their supervisor and their database. Used once, and only by the process that created them.

    Attributes:
        updater: receives learned scores.
        publisher: sends events; None when nothing is published.
        listener: wakes the updater.
        claim: notices another agent with the same id.
        reloader: reads the catalog YAML again; None without one.
        supervisor: starts and stops them.
    """

    def __init__(
        self,
        settings: AgentSettings,
        database: Database | None,
        *,
        publishes: bool,
        reload: Callable[[bool], object],
        shutdown: Shutdown | None = None,
        learned: LearnedScores | None = None,
        catalog_models: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """Create the tasks; connects to nothing yet.

        Args:
            settings: of the instance.
            database: to share one; it is not closed at the end. None: a new one.
            publishes: whether there are events to send.
            reload: reads the catalog YAML, see `CatalogReloader`.
            shutdown: ends the supervisor, usually on signals.
            learned: scores to start from; None: those of the file.
            catalog_models: returns the models of the catalog, see `ScoreUpdater`.
        """
        self._owned = None
        if database is None:
            name = f"instance-agent/{settings.instance_id}"
            database = self._owned = Database(settings.database, application_name=name, own_connections=0)
        self.database = database
        self.updater = ScoreUpdater(
            database,
            instance_id=settings.instance_id,
            file=LearnedScoresFile(settings.state_folder),
            poll_interval_seconds=settings.poll_interval_seconds,
            reconcile_interval_seconds=settings.reconcile_interval_seconds,
            learned=learned,
            catalog_models=catalog_models,
        )
        self.publisher = make_publisher(settings, database) if publishes else None
        if self.publisher:
            self.publisher.stopped_because = "the agent was stopped before they were published"
        self.listener = NotificationListener(database, {UPDATES_CHANNEL: self.updater.wake})
        self.claim = InstanceClaim(settings.instance_id, settings.state_folder)
        self.listener.on_working = self.claim.check
        self.reloader: CatalogReloader | None = None
        tasks: list[BackgroundTask] = [self.updater, self.listener]
        if self.publisher:
            tasks.append(self.publisher)
        if settings.catalog:
            self.reloader = CatalogReloader(database, reload, interval_seconds=settings.poll_interval_seconds)
            tasks.append(self.reloader)
        self.supervisor = Supervisor(tasks, shutdown)
        self.supervisor.reserve_connections(database)

    def problems(self) -> list[str]:
        """Return a line for each problem with which the instance still does its work."""
        lines = []
        if (reason := self.updater.not_stored) is not None:
            lines.append(f"the learned scores cannot be written to the state folder: {reason}")
        if (other := self.claim.other) is not None:
            lines.append(f"another agent uses the same INSTANCE_ID: {other}")
        return lines

    def stop(self, within_seconds: float) -> None:
        """Send the events that are still in memory, and stop; the others stay in the spool, or are lost."""
        publisher = self.publisher
        unsent = f"the database did not accept them in {within_seconds:g} seconds"
        if publisher is not None and publisher.waiting and not publisher.sending:
            try:  # never started, or at the end of the interpreter, when no thread can start
                publisher.send_remaining(connect_seconds=within_seconds)
            except Exception as error:
                if not is_database_error(error):
                    raise
                unsent = summarize_error(error)
        self.supervisor.stop(within_seconds)
        if publisher is not None:
            publisher.give_up(unsent)
        if self._owned is not None:
            self._owned.close()

    def abandon(self) -> None:
        """Close the copies of files and sockets that the child of a fork has; its parent goes on with its own."""
        if self.publisher is not None:
            self.publisher.abandon()
        self.supervisor.abandon()
