"""Records of attempts, handed over together right after the turn of the event loop in which they arose.

In a busy gateway some seven attempts end in one turn. Their events are made, written to the spool and counted one after the
other, while the code that does it is in the processor's caches, and with one write: that saves some 40 microseconds of
processor time a request. No answer leaves before its events are written: its request waits for them.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from instance_agent.execution.attempts import Attempt
from instance_agent.gateway.context import RequestContext


class RecordsSink(Protocol):
    """Takes records of attempts."""

    def record_all(self, records: Sequence[tuple[Attempt, RequestContext]]) -> None:
        """Take records, each once; never raises."""


class TurnRecords:
    """Collects the records of one turn for a sink. For the event loop."""

    def __init__(self, sink: RecordsSink, is_busy: Callable[[], bool]) -> None:
        """Create it; `is_busy`: whether other requests are under way, so that waiting for them may help."""
        self._sink = sink
        self._is_busy = is_busy
        self._records: list[tuple[Attempt, RequestContext]] = []
        self._waiting: list[asyncio.Future[None]] = []

    def record(self, attempt: Attempt, context: RequestContext) -> None:
        """Take a record; that of a stream is handed over at once: its last bytes are about to leave."""
        if attempt.streamed or not self._is_busy():
            self._sink.record_all(((attempt, context),))
            return
        if not self._records:
            asyncio.get_running_loop().call_soon(self.hand_over)
        self._records.append((attempt, context))

    async def handed_over(self) -> None:
        """Wait until every record so far was handed over."""
        if self._records:
            # One for each: who is cancelled cancels what it waits for.
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

    def hand_over(self) -> None:
        """Hand over what there is."""
        records, self._records = self._records, []
        waiting, self._waiting = self._waiting, []
        try:
            if records:
                self._sink.record_all(records)
        finally:
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)
