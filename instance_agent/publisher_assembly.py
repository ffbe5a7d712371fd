"""An event publisher with the bounds, the memory and the spool that the settings ask for."""

from centralcloud.runtime.postgres.database import Database
from instance_agent.settings import AgentSettings
from instance_agent.sync.confirmed_events import ConfirmedEvents
from instance_agent.sync.event_publisher import EventPublisher
from instance_agent.sync.event_queue import EventQueue
from instance_agent.sync.spool import Spool


def make_publisher(
    settings: AgentSettings, database: Database, queue: EventQueue | None = None, *, gather_seconds: float = 0.0
) -> EventPublisher:
    """Return a publisher that is not started yet.

    Args:
        settings: its bounds.
        database: that receives the events.
        queue: with events that wait already; None: a new one.
        gather_seconds: between two small batches, as for `EventPublisher`.
    """
    queue = EventQueue() if queue is None else queue
    queue.size, queue.max_bytes = settings.publish_queue_size, settings.publish_queue_bytes
    folder = settings.spool_folder
    return EventPublisher(
        database,
        queue=queue,
        confirmed=ConfirmedEvents(settings.resend_seconds, settings.resend_events),
        spool=None if folder is None else Spool(folder, settings.spool_bytes, shared=settings.spool_dir),
        gather_seconds=gather_seconds,
    )
