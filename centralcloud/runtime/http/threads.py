"""Work of HTTP pages outside the event loop, in daemon threads.

Not `asyncio.to_thread`: the end of a process waits for its threads, and a page that hangs would keep the program from
stopping.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from centralcloud.contracts import CentralCloudError

_T = TypeVar("_T")

#: Pages made at the same time.
_THREADS: Final = 8
#: From the request until its page is made, the wait for a free thread included.
LIMIT_SECONDS: Final = 10.0


class BusyError(CentralCloudError):
    """A page could not be made in time."""


class PageThreads:
    """A few threads for one event loop. A page that hangs keeps its thread, and the others go on."""

    def __init__(self, threads: int = _THREADS, limit_seconds: float | None = None) -> None:
        """Create none yet; `limit_seconds`: from a request until its page is made; None: 10."""
        self._free = asyncio.Semaphore(threads)
        self._limit_seconds = LIMIT_SECONDS if limit_seconds is None else limit_seconds

    async def run(self, work: Callable[[], _T]) -> _T:
        """Call `work` in a thread and return its result.

        Raises:
            BusyError: it took too long.
            Exception: whatever `work` raises.
        """
        try:
            async with asyncio.timeout(self._limit_seconds):
                await self._free.acquire()
                return await self._start(work)
        except TimeoutError:
            raise BusyError(f"no answer within {self._limit_seconds:g} seconds") from None

    def _start(self, work: Callable[[], _T]) -> "asyncio.Future[_T]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()

        def finish(set_outcome: Callable[[], None]) -> None:
            self._free.release()
            if not future.done():
                set_outcome()

        def run() -> None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - raised in the event loop
                outcome = _raising(future, error)
            else:
                outcome = _returning(future, result)
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(finish, outcome)

        try:
            threading.Thread(target=run, name="http-page", daemon=True).start()
        except RuntimeError:  # the system has no thread left
            self._free.release()
            raise
        return future


def _returning(future: "asyncio.Future[_T]", result: _T) -> Callable[[], None]:
    return lambda: future.set_result(result)


def _raising(future: "asyncio.Future[_T]", error: BaseException) -> Callable[[], None]:
    return lambda: future.set_exception(error)
