"""Requests that wait for a lease or for a settlement: in their order, each for a short time."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from instance_agent.spend.account import Account
from instance_agent.spend.reservation import Outcome, Part, Reservation

#: How long a request waits.
WAIT_SECONDS: Final = 0.25
#: Most requests that wait; others are refused at once.
MOST_WAITING: Final = 1000
#: Requests that one settlement may pass over, because they need more than there is.
_MOST_PASSED: Final = 64


class Wishes(NamedTuple):
    """The wishes of one request that waits.

    Attributes:
        parts: the accounts, and how much of each.
        take: reserves them, once all have enough.
        answer: called where too little is there, with whether it has waited long enough: a refusal, or a reservation by
            another way; None, unless it has waited long enough: it may wait on.
    """

    parts: list[Part]
    take: Callable[[], Reservation]
    answer: Callable[[bool], Outcome | None]


class _Waiter(NamedTuple):
    wishes: Wishes
    future: "asyncio.Future[Outcome]"


class Waiting:
    """The queue. In one event loop."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Waiter] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[list[Part]]:
        return (each.wishes.parts for each in self._queue)

    async def wait(self, wishes: Wishes) -> Outcome:
        """Wait until there is enough, or until there is a reason for a refusal; at most `WAIT_SECONDS`."""
        waiter = _Waiter(wishes, self._loop.create_future())
        self._queue.append(waiter)
        for account, _ in wishes.parts:
            account.waiting += 1
        timer = self._loop.call_later(WAIT_SECONDS, self._end, waiter)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            # The client has gone; a reservation may have come in the same moment.
            if waiter.future.done() and not waiter.future.cancelled():
                outcome = waiter.future.result()
                if isinstance(outcome, Reservation):
                    outcome.cancel()
            else:
                self._queue.remove(waiter)
                self._leave(waiter)
            raise
        finally:
            timer.cancel()

    def wake(self) -> bool:
        """Let those take what is there who can, the first ones first. Returns whether one did, or was refused."""
        if not self._queue:
            return False
        now = self._clock()
        queue, self._queue = self._queue, deque()
        before = len(queue)
        while queue and len(self._queue) < _MOST_PASSED:
            waiter = queue.popleft()
            wishes = waiter.wishes
            if waiter.future.done():
                self._queue.append(waiter)  # it was cancelled, and leaves by itself
                continue
            if all(_has(account, amount, now) for account, amount in wishes.parts):
                self._leave(waiter)
                waiter.future.set_result(wishes.take())
            elif (answer := wishes.answer(False)) is not None:
                self._leave(waiter)
                waiter.future.set_result(answer)
            else:
                self._queue.append(waiter)
        self._queue.extend(queue)
        return len(self._queue) < before

    def end(self) -> None:
        """Refuse every request that waits."""
        for waiter in list(self._queue):
            self._end(waiter)

    def _end(self, waiter: _Waiter) -> None:
        if waiter.future.done():
            return  # in the same moment
        self._queue.remove(waiter)
        self._leave(waiter)
        answer = waiter.wishes.answer(True)
        assert answer is not None
        waiter.future.set_result(answer)

    @staticmethod
    def _leave(waiter: _Waiter) -> None:
        for account, _ in waiter.wishes.parts:
            account.waiting -= 1


def _has(account: Account, amount: int, now: float) -> bool:
    return account.slice.available >= amount and now < account.slice.until
