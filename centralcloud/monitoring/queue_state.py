"""The depth of the queue of routing events, the age of its messages, and how fast it grows."""

import time
from typing import Any

from centralcloud.runtime.postgres.database import Database
from centralcloud.store.queue import read_queue_counters, read_queue_state


def queue_state(database: Database, *, measure_seconds: float) -> dict[str, Any]:
    """Read the state of the queue, and measure for `measure_seconds` how it changes.

    Returns:
        The fields of `QueueState`, and per second: sent_per_second, taken_per_second (messages that left the queue) and
        bytes_per_second.

    Raises:
        LedgerMissingError: the message ledger has no row.
    """
    with database.transaction() as connection:
        before = read_queue_counters(connection)
        started = time.monotonic()  # our own clock: the server's may stand still, or be set while we measure
    with database.transaction() as connection:
        state = read_queue_state(connection)
    time.sleep(measure_seconds)
    with database.transaction() as connection:
        after = read_queue_counters(connection)
    seconds = time.monotonic() - started
    return {
        **state._asdict(),
        "sent_per_second": (after.sent - before.sent) / seconds,
        "taken_per_second": (after.left_the_queue - before.left_the_queue) / seconds,
        "bytes_per_second": (after.bytes_on_disk - before.bytes_on_disk) / seconds,
    }
