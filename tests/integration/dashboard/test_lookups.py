"""Lookups: one read for all who ask at the same time, kept for a while, refused in an outage."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
import pytest
from support.tcp_proxy import TcpProxy

from centralcloud.dashboard.reader.lookups import LookupFailedError, Lookups
from centralcloud.dashboard.reader.source import Lookup
from centralcloud.runtime.postgres.database import Database

_T = TypeVar("_T")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Counted:
    """A lookup that counts its reads by their arguments, in the database."""

    def __init__(self, *, seconds: float = 0.0) -> None:
        self.reads: list[tuple[Any, ...]] = []
        self._seconds = seconds
        self.lookup = Lookup(f"counted {id(self)}", self._read, keep_seconds=5.0)

    def _read(self, connection: psycopg.Connection[Any], *args: Any) -> int:
        self.reads.append(args)
        connection.execute("SELECT pg_sleep(%s)", (self._seconds,))
        return len(self.reads)


def in_loop(database: Database, use: Callable[[Lookups], Awaitable[_T]], clock: Clock | None = None) -> _T:
    """Use lookups in an event loop of their own."""

    async def run() -> _T:
        return await use(Lookups(database, clock=clock or Clock()))

    return asyncio.run(run())


def test_all_who_ask_at_the_same_time_share_one_read(database: Database) -> None:
    counted = Counted(seconds=0.1)

    async def use(lookups: Lookups) -> list[int]:
        return list(await asyncio.gather(*(lookups.get(counted.lookup, "a") for _ in range(50))))

    assert in_loop(database, use) == [1] * 50
    assert counted.reads == [("a",)]


def test_a_value_is_kept_for_its_time_and_for_its_arguments(database: Database) -> None:
    counted, clock = Counted(), Clock()

    async def use(lookups: Lookups) -> list[int]:
        values = [await lookups.get(counted.lookup, "a"), await lookups.get(counted.lookup, "b")]
        clock.now += 4.9
        values.append(await lookups.get(counted.lookup, "a"))
        clock.now += 0.2
        return [*values, await lookups.get(counted.lookup, "a")]

    assert in_loop(database, use, clock) == [1, 2, 1, 3]


def test_one_who_stops_waiting_does_not_end_the_read_of_the_others(database: Database) -> None:
    counted = Counted(seconds=0.2)

    async def use(lookups: Lookups) -> int:
        impatient = asyncio.create_task(lookups.get(counted.lookup))
        patient = asyncio.create_task(lookups.get(counted.lookup))
        await asyncio.sleep(0)
        impatient.cancel()
        return await patient

    assert in_loop(database, use) == 1


def test_a_read_that_fails_is_not_kept(database: Database) -> None:
    def read(connection: psycopg.Connection[Any]) -> object:
        reads.append(1)
        return connection.execute("SELECT 1 / 0").fetchone()

    reads: list[int] = []
    lookup = Lookup("fails", read, keep_seconds=60.0)

    async def use(lookups: Lookups) -> None:
        for _ in range(2):
            with pytest.raises(psycopg.errors.DivisionByZero):
                await lookups.get(lookup)

    in_loop(database, use)
    assert len(reads) == 2


def test_an_outage_is_said_and_a_value_that_is_kept_is_still_given(proxy: TcpProxy) -> None:
    counted = Counted()
    with Database(f"{proxy.url} connect_timeout=1", application_name="tests") as database:

        async def use(lookups: Lookups) -> None:
            assert await lookups.get(counted.lookup, "kept") == 1
            await asyncio.to_thread(proxy.close)
            assert await lookups.get(counted.lookup, "kept") == 1
            with pytest.raises(LookupFailedError, match=r"^the database "):
                await lookups.get(counted.lookup, "new")

        in_loop(database, use)


def test_a_value_that_cannot_be_read_is_said(database: Database) -> None:
    endless = Lookup(
        "endless", lambda connection: connection.execute("SELECT 'infinity'::timestamptz").fetchone(), keep_seconds=1.0
    )

    async def ask() -> None:
        with pytest.raises(LookupFailedError, match="a value cannot be read: timestamp too large"):
            await Lookups(database).get(endless)

    asyncio.run(ask())
