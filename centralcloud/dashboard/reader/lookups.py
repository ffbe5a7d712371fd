"""Lookups: values for one page alone, read in a few threads, kept for a while, and read once for all who ask meanwhile."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, TypeVar

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.dashboard.reader.source import Lookup
from centralcloud.runtime.http.threads import BusyError, PageThreads
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_outage, summarize_error

_T = TypeVar("_T")

THREADS: Final = 2
_LIMIT_SECONDS: Final = 5.0
_MOST_VALUES: Final = 512


class LookupFailedError(CentralCloudError):
    """A lookup could not be made now: the database is unavailable, or does not answer in time."""


class Lookups:
    """The lookups of one event loop."""

    def __init__(
        self,
        database: Database,
        *,
        outage: Callable[[], str | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read nothing yet.

        Args:
            outage: returns why the database is known to be unavailable: then nothing waits for it.
            clock: returns seconds.
        """
        self._database = database
        self._outage = outage
        self._clock = clock
        self._threads = PageThreads(THREADS, _LIMIT_SECONDS)
        self._generation = 0
        self._kept: OrderedDict[tuple[Any, ...], tuple[float, Any]] = OrderedDict()
        self._running: dict[tuple[Any, ...], asyncio.Task[Any]] = {}

    def forget(self) -> None:
        """Read every value again that a page needs, as after a change; in an outage they still count."""
        self._generation += 1
        self._kept = OrderedDict((key, (-math.inf, value)) for key, (_, value) in self._kept.items())
        self._running.clear()

    async def get(self, lookup: Lookup[_T], *args: Any) -> _T:
        """Return the value of a lookup for hashable arguments. During an outage a value that was kept is good for longer.

        Raises:
            LookupFailedError: the database is unavailable, or too slow, or has a value that cannot be read.
            Exception: whatever `lookup.read` raises.
        """
        key = (lookup.name, *args)
        kept = self._kept.get(key)
        if kept is not None and kept[0] > self._clock():
            self._kept.move_to_end(key)
            return kept[1]  # type: ignore[no-any-return]
        if (outage := self._outage()) is not None:
            if kept is not None:
                return kept[1]  # type: ignore[no-any-return]
            raise LookupFailedError(f"the database is unavailable: {outage}")
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._read(key, lookup, args))
            self._running[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(task)

    async def _read(self, key: tuple[Any, ...], lookup: Lookup[_T], args: tuple[Any, ...]) -> _T:
        began = self._generation

        def read() -> _T:
            with self._database.transaction(limit_seconds=_LIMIT_SECONDS) as connection:
                return lookup.read(connection, *args)

        try:
            value = await self._threads.run(read)
        except BusyError as error:
            raise LookupFailedError(f"the database gave {error}") from None
        except Exception as error:
            if is_outage(error):
                raise LookupFailedError(f"the database is unavailable: {summarize_error(error)}") from None
            if isinstance(error, psycopg.DataError) and error.sqlstate is None:  # of this side: the server gave it
                raise LookupFailedError(f"a value cannot be read: {summarize_error(error)}") from None
            raise
        if began != self._generation:
            return value
        self._kept[key] = (self._clock() + lookup.keep_seconds, value)
        self._kept.move_to_end(key)
        while len(self._kept) > _MOST_VALUES:
            self._kept.popitem(last=False)
        return value

    def _ended(self, key: tuple[Any, ...], task: asyncio.Task[Any]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
        if not task.cancelled():
            task.exception()  # read, though no page may wait for it any more
