"""One run for requests with the same id."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from instance_agent.chat.errors import ChatError, InvalidRequestError
from instance_agent.execution.same_request import SameRequests


class Upstream:
    """Counts runs; each ends when it is released."""

    def __init__(self) -> None:
        self.started = 0
        self.cancelled = 0
        self.release = asyncio.Event()

    async def run(self) -> int:
        self.started += 1
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.started


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 10))


def test_the_same_id_at_the_same_time_is_one_run() -> None:
    async def scenario() -> None:
        same, upstream = SameRequests[int](clock=lambda: 0.0), Upstream()
        tasks = [asyncio.create_task(same.run("t", "id", b"f", upstream.run)) for _ in range(5)]
        await asyncio.sleep(0)
        upstream.release.set()
        assert await asyncio.gather(*tasks) == [(1, False)] + [(1, True)] * 4
        assert upstream.started == 1

    run(scenario())


def test_the_result_is_kept_for_ten_minutes() -> None:
    async def scenario() -> None:
        now = [0.0]
        same, upstream = SameRequests[int](clock=lambda: now[0]), Upstream()
        upstream.release.set()
        for at, runs in ((0.0, 1), (599.0, 1), (601.0, 2)):
            now[0] = at
            await same.run("t", "id", b"f", upstream.run)
            assert upstream.started == runs

    run(scenario())


def test_another_tenant_with_the_same_id_is_another_request() -> None:
    async def scenario() -> None:
        same, upstream = SameRequests[int](clock=lambda: 0.0), Upstream()
        upstream.release.set()
        await same.run("one", "id", b"f", upstream.run)
        await same.run("two", "id", b"f", upstream.run)
        assert upstream.started == 2

    run(scenario())


def test_another_request_under_the_same_id_is_an_error() -> None:
    async def scenario() -> None:
        same, upstream = SameRequests[int](clock=lambda: 0.0), Upstream()
        upstream.release.set()
        await same.run("t", "id", b"f", upstream.run)
        with pytest.raises(InvalidRequestError, match="expected a new one"):
            await same.run("t", "id", b"g", upstream.run)

    run(scenario())


def test_a_failure_is_shared_and_not_kept() -> None:
    async def scenario() -> None:
        same: SameRequests[int] = SameRequests(clock=lambda: 0.0)
        runs = 0

        async def fail() -> int:
            nonlocal runs
            runs += 1
            await asyncio.sleep(0)
            raise ChatError("no", error_kind="provider", status=502)

        results = await asyncio.gather(*(same.run("t", "id", b"f", fail) for _ in range(3)), return_exceptions=True)
        assert all(isinstance(each, ChatError) for each in results)
        assert runs == 1
        with pytest.raises(ChatError):
            await same.run("t", "id", b"f", fail)
        assert runs == 2

    run(scenario())


def test_the_run_goes_on_while_one_client_waits_and_ends_with_the_last() -> None:
    async def scenario() -> None:
        same, upstream = SameRequests[int](clock=lambda: 0.0), Upstream()
        tasks = [asyncio.create_task(same.run("t", "id", b"f", upstream.run)) for _ in range(2)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.wait({tasks[0]})
        assert upstream.cancelled == 0
        tasks[1].cancel()
        await asyncio.wait({tasks[1]})
        assert upstream.cancelled == 1
        upstream.release.set()
        assert await same.run("t", "id", b"f", upstream.run) == (2, False)

    run(scenario())


def test_a_client_that_goes_in_the_moment_of_the_end_leaves_an_entry_that_expires() -> None:
    async def scenario() -> None:
        now = [0.0]
        same, upstream = SameRequests[int](clock=lambda: now[0]), Upstream()
        task = asyncio.create_task(same.run("t", "id", b"f", upstream.run))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        (run_of_it,) = same._runs.values()
        run_of_it.task.add_done_callback(lambda _: task.cancel())
        upstream.release.set()
        await asyncio.wait({task})
        assert task.cancelled()
        assert await same.run("t", "id", b"f", upstream.run) == (1, True), "it has ended, and is kept"
        now[0] = 601.0
        assert await same.run("t", "id", b"f", upstream.run) == (2, False)

    run(scenario())


def test_a_failure_in_the_moment_that_the_client_goes_is_not_kept() -> None:
    async def scenario() -> None:
        same: SameRequests[int] = SameRequests(clock=lambda: 0.0)

        async def fail() -> int:
            raise ChatError("no", error_kind="provider", status=502)

        task = asyncio.create_task(same.run("t", "id", b"f", fail))
        await asyncio.sleep(0)
        (run_of_it,) = same._runs.values()
        run_of_it.task.add_done_callback(lambda _: task.cancel())
        await asyncio.wait({task})
        assert same._runs == {}

    run(scenario())


def test_results_are_bounded_in_number_and_bytes() -> None:
    async def scenario() -> None:
        same = SameRequests[bytes](clock=lambda: 0.0, size_of=len, most=10, most_bytes=100)
        runs = 0

        async def answer() -> bytes:
            nonlocal runs
            runs += 1
            return b"x" * 30

        for number in range(8):
            await same.run("t", str(number), b"f", answer)
        await same.run("t", "7", b"f", answer)
        assert runs == 8
        await same.run("t", "0", b"f", answer)
        assert runs == 9

    run(scenario())


def test_a_run_whose_client_goes_at_the_moment_of_its_end_is_not_kept_for_ever() -> None:
    async def scenario() -> None:
        now = [0.0]
        same, upstream = SameRequests[int](clock=lambda: now[0]), Upstream()
        client = asyncio.create_task(same.run("t", "id", b"f", upstream.run))
        await asyncio.sleep(0)
        (found,) = same._runs.values()
        upstream.release.set()
        while not found.task.done():
            await asyncio.sleep(0)
        client.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client
        assert found.until == 600
        assert await same.run("t", "id", b"f", upstream.run) == (1, True), "its result is paid for, and kept"
        now[0] = 600.0
        assert await same.run("t", "id", b"f", upstream.run) == (2, False)

    run(scenario())


def test_a_run_that_fails_as_its_client_goes_is_not_kept() -> None:
    async def scenario() -> None:
        same = SameRequests[int](clock=lambda: 0.0)

        async def fails() -> int:
            raise ChatError("no", error_kind="provider", status=502)

        client = asyncio.create_task(same.run("t", "id", b"f", fails))
        while not (same._runs and next(iter(same._runs.values())).task.done()):
            await asyncio.sleep(0)
        client.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client
        assert same._runs == {}

    run(scenario())
