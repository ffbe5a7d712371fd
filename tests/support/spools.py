"""Spools of events, for tests that write one and read what is left."""

from pathlib import Path

from instance_agent.sync.event_queue import EventQueue
from instance_agent.sync.spool import Spool


def a_queue(*texts: str) -> EventQueue:
    queue = EventQueue()
    for text in texts:
        queue.append(text)
    return queue


def left_in(folder: Path, **limits: int) -> list[str]:
    """Read everything, batch by batch, as a publisher does."""
    spool = Spool(folder)
    texts: list[str] = []
    while batch := spool.next_left(limits.get("count", 500), limits.get("max_bytes", 1_000_000)):
        texts += batch
        spool.confirm_left()
    spool.close()
    return texts
