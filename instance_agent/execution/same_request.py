"""One run for requests that are sent twice with the same `id`: within one replica, for 10 minutes, for each owner."""

import asyncio
import functools
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

from instance_agent.chat.errors import InvalidRequestError

_T = TypeVar("_T")
SECONDS: Final = 600.0
MOST: Final = 10_000
MOST_BYTES: Final = 64 * 1024 * 1024


class _Run(Generic[_T]):
    __slots__ = ("bytes", "fingerprint", "task", "until", "waiting")

    def __init__(self, task: "asyncio.Task[_T]", fingerprint: bytes) -> None:
        self.task = task
        self.fingerprint = fingerprint
        self.waiting = 0
        self.until = float("inf")
        self.bytes = 0


class SameRequests(Generic[_T]):
    """Runs each request once, by owner and id; later ones get the same result, also while it runs.

    A failure is given to those that wait for it, and not kept. When every client that waits has gone, the run is cancelled.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        size_of: Callable[[_T], int] = lambda _: 0,
        seconds: float = SECONDS,
        most: int = MOST,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Create it; `size_of` returns the bytes of a result, for the bound of them all."""
        self._clock = clock
        self._size_of = size_of
        self._seconds = seconds
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._runs: OrderedDict[tuple[str, str], _Run[_T]] = OrderedDict()

    async def run(
        self,
        owner: str,
        request_id: str,
        fingerprint: bytes,
        start: Callable[[], Coroutine[Any, Any, _T]],
        *,
        field: str = "id",
    ) -> tuple[_T, bool]:
        """Return the result for this id, and whether another request had started it.

        Args:
            owner: of the id; ids of different owners have nothing to do with each other.
            fingerprint: of the request; another one under the same id is an error of the caller.
            field: that the id stands in, for this error.

        Raises:
            InvalidRequestError: the id was used for another request within the last 10 minutes.
            Exception: that of the run.
        """
        self._expire()
        key = (owner, request_id)
        run = self._runs.get(key)
        shared = run is not None
        if run is None:
            run = self._runs[key] = _Run(asyncio.create_task(start()), fingerprint)
            # Not by a client that waits: each of them may be cancelled in the moment of the end.
            run.task.add_done_callback(functools.partial(self._ended, key, run))
        elif run.fingerprint != fingerprint:
            raise InvalidRequestError(
                f"{field}: found an id that another request had in the last 10 minutes, expected a new one", param=field
            )
        run.waiting += 1
        try:
            result = await asyncio.shield(run.task)
        except asyncio.CancelledError:
            if run.waiting == 1 and not run.task.done():
                self._forget(key, run)
                await _cancelled(run.task)
            raise
        finally:
            run.waiting -= 1
        return result, shared

    def _ended(self, key: tuple[str, str], run: _Run[_T], task: "asyncio.Task[_T]") -> None:
        """Keep the result of a run, or forget a run that failed."""
        if task.cancelled() or task.exception() is not None:
            self._forget(key, run)
        elif self._runs.get(key) is run:
            run.until = self._clock() + self._seconds
            run.bytes = self._size_of(task.result())
            self._bytes += run.bytes
            self._runs.move_to_end(key)
            self._expire()

    def _expire(self) -> None:
        now = self._clock()
        for key, run in list(self._finished(now)):
            self._forget(key, run)

    def _finished(self, now: float) -> list[tuple[tuple[str, str], _Run[_T]]]:
        """Return the runs to drop: those whose time is over, then the oldest beyond the bounds."""
        dropped = []
        count, size = len(self._runs), self._bytes
        for key, run in self._runs.items():
            if run.until == float("inf"):
                continue  # it still runs
            if run.until > now and count <= self._most and size <= self._most_bytes:
                break  # finished ones stand in the order of their end
            dropped.append((key, run))
            count -= 1
            size -= run.bytes
        return dropped

    def _forget(self, key: tuple[str, str], run: _Run[_T]) -> None:
        if self._runs.get(key) is run:
            del self._runs[key]
            self._bytes -= run.bytes


async def _cancelled(task: "asyncio.Task[Any]") -> None:
    """Cancel a task and wait for its end, so that its upstream is released."""
    task.cancel()
    await asyncio.wait({task})
