"""Metrics of an event publisher, and its state for people."""

import json
from datetime import UTC, datetime
from typing import Any

from centralcloud.runtime.http.metrics import CallbackMetrics
from instance_agent.sync.event_publisher import EventPublisher


def show_publisher(metrics: CallbackMetrics, publisher: EventPublisher) -> None:
    """Show what was sent and lost, and what waits in memory and on disk."""
    metrics.counter("events_sent", "Routing events sent since the start", lambda: publisher.sent)
    metrics.gauge("events_waiting", "Routing events in memory", lambda: publisher.waiting)
    metrics.gauge("events_on_disk", "Routing events that are only on disk", lambda: publisher.waiting_on_disk)
    metrics.gauge("events_oldest_seconds", "Age of the oldest unsent event", lambda: oldest_seconds(publisher))
    metrics.counter("events_dropped", "Routing events lost since the start", lambda: publisher.dropped)
    metrics.gauge("spool_bytes", "Size of the spool", lambda: publisher.spool_bytes)
    metrics.gauge("spool_used_ratio", "Used share of the spool's bound", lambda: publisher.spool_share)
    metrics.counter("spool_not_written", "Events not written to the spool", lambda: publisher.not_spooled)


def publisher_state(publisher: EventPublisher) -> dict[str, Any]:
    """Return the state of a publisher as JSON, for people."""
    return {
        "waiting": publisher.waiting,
        "onDisk": publisher.waiting_on_disk,
        "oldestSeconds": round(oldest_seconds(publisher), 1),
        "sent": publisher.sent,
        "dropped": publisher.dropped,
        "spoolWritable": publisher.spool_problem is None,
        "spoolUsed": round(publisher.spool_share, 4),
        "notSpooled": publisher.not_spooled,
    }


def oldest_seconds(publisher: EventPublisher) -> float:
    """Return the age of the oldest event that waits, in seconds by its timestamp; 0 when none waits."""
    return max((_age(text) for text in publisher.oldest), default=0.0)


def _age(text: str) -> float:
    """Return the age of an event; 0 when it has no usable time."""
    try:
        at = datetime.fromisoformat(json.loads(text)["timestamp"])
        return max(0.0, (datetime.now(UTC) - at).total_seconds())
    except (ValueError, KeyError, TypeError):
        return 0.0
