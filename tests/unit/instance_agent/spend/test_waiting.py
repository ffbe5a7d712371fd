"""Requests that wait for a settlement: their order, and their end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from instance_agent.spend.account import Account
from instance_agent.spend.refusal import Refusal
from instance_agent.spend.reservation import Reservation
from instance_agent.spend.waiting import Waiting, Wishes

REFUSAL = Refusal(code="budget_busy", meter="budget/b", message="", status=402)


class Limit:
    """One account and its queue."""

    def __init__(self) -> None:
        self.account = Account("budget/b", None)
        self.waiting = Waiting(asyncio.get_running_loop().time)
        self.taken: list[int] = []
        self.account.slice.until = float("inf")

    def wait(self, amount: int) -> "asyncio.Task[Any]":
        def take() -> Reservation:
            held = self.account.slice
            held.available -= amount
            held.reserved += amount
            self.taken.append(amount)
            return Reservation([self.account], [held], amount, lambda _: None)

        parts = [(self.account, amount)]
        wishes = Wishes(parts, take, lambda is_late: REFUSAL if is_late else None)
        return asyncio.create_task(self.waiting.wait(wishes))

    def free(self, amount: int) -> None:
        self.account.slice.available += amount
        self.waiting.wake()


def in_a_loop(work: Callable[[Limit], Awaitable[None]]) -> None:
    async def run() -> None:
        await work(Limit())

    asyncio.run(run())


def test_the_first_ones_take_what_comes_and_a_large_need_stops_no_small_one() -> None:
    async def work(limit: Limit) -> None:
        tasks = [limit.wait(amount) for amount in (50, 10, 20, 5)]
        await asyncio.sleep(0)
        assert (limit.account.waiting, len(limit.waiting)) == (4, 4)
        limit.free(30)
        assert limit.taken == [10, 20]
        limit.free(52)
        assert limit.taken == [10, 20, 50]
        limit.free(3)
        assert limit.taken == [10, 20, 50, 5]
        assert limit.account.waiting == 0
        assert all(isinstance(each, Reservation) for each in await asyncio.gather(*tasks))

    in_a_loop(work)


def test_a_request_that_has_waited_long_enough_is_refused() -> None:
    async def work(limit: Limit) -> None:
        began = asyncio.get_running_loop().time()
        assert await limit.wait(10) is REFUSAL
        assert asyncio.get_running_loop().time() - began >= 0.2
        assert (limit.account.waiting, len(limit.waiting)) == (0, 0)

    in_a_loop(work)


def test_a_client_that_goes_leaves_the_queue_and_returns_what_it_was_given() -> None:
    async def work(limit: Limit) -> None:
        gone, given = limit.wait(10), limit.wait(20)
        await asyncio.sleep(0)
        gone.cancel()
        limit.free(20)  # in the same moment, before the cancellation has arrived
        given.cancel()
        await asyncio.wait([gone, given])
        assert gone.cancelled()
        assert given.cancelled()
        assert limit.taken == [20]
        assert (limit.account.slice.available, limit.account.slice.reserved) == (20, 0)
        assert (limit.account.waiting, len(limit.waiting)) == (0, 0)

    in_a_loop(work)


def test_the_end_refuses_all_that_wait() -> None:
    async def work(limit: Limit) -> None:
        tasks = [limit.wait(10) for _ in range(3)]
        await asyncio.sleep(0)
        limit.waiting.end()
        assert await asyncio.gather(*tasks) == [REFUSAL] * 3
        assert limit.account.waiting == 0

    in_a_loop(work)
