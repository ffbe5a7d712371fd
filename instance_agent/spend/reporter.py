"""When a gateway exchanges spend with the database, and with what: reports, needs, renewals, returns."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from instance_agent.spend.account import Account, Slice
from instance_agent.spend.book import Book
from instance_agent.spend.exchange import LEASE_SECONDS, SpendExchange
from instance_agent.spend.waiting import Waiting

#: Between two attempts to get a lease that was refused: calls of other requests end at any moment.
_FIRST_RETRY: Final = 0.04
_LONGEST_RETRY: Final = 0.12
#: How soon spend is reported: where it is scarce, where another gateway waits for it, and else.
_SCARCE_SECONDS: Final = 0.1
_RECALLED_SECONDS: Final = 0.02
_REPORT_SECONDS: Final = 1.0
_TICK_SECONDS: Final = 1.0
#: A lease that nothing used for so long is returned.
_IDLE_SECONDS: Final = 10.0
#: How often the database is asked again about a limit that is used up, while requests come.
_ASK_AGAIN_SECONDS: Final = 1.0
#: Most requests that ask in one exchange; most meters that it asks for, and that it reports.
_MOST_ASKS: Final = 64
_MOST_METERS: Final = 1000
_ENCODER: Final = msgspec.json.Encoder()


class Reporter:
    """Decides and sends the exchanges of one gateway, one at a time. In one event loop.

    Attributes:
        on_alert: called with each alert that a report of this gateway has caused.
    """

    def __init__(
        self,
        exchange: SpendExchange,
        book: Book,
        waiting: Waiting,
        clock: Callable[[], float],
        on_alert: Callable[[dict[str, Any]], object],
    ) -> None:
        self.on_alert = on_alert
        self._exchange = exchange
        self._book = book
        self._waiting = waiting
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        #: Accounts to ask for, with the need of the request that found too little.
        self._due: dict[Account, int] = {}
        #: Accounts that may have something to report.
        self._dirty: set[Account] = set()
        #: Slices of periods that have ended, until all of them is settled and reported.
        self._ended: set[Slice] = set()
        #: Accounts that may have a lease: there may be thousands of others.
        self._active: set[Account] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._at = float("inf")
        self._retry_seconds = _FIRST_RETRY
        self._retry_at = float("-inf")
        self._sent_at = float("-inf")
        self._in_flight = False
        self._is_closed = False
        self._drained: asyncio.Future[None] | None = None
        self._tick_timer = self._loop.call_later(_TICK_SECONDS, self._tick)

    @property
    def up(self) -> bool:
        """Whether the database has answered the newest exchange, as far as it has ended."""
        return self._exchange.up

    def need(self, account: Account, amount: int) -> None:
        """Ask for a lease as soon as possible: a request waits for it."""
        self._due[account] = max(amount, self._due.get(account, 0))
        self._pump_in(max(0.0, self._retry_at - self._clock()))

    def renew(self, account: Account) -> None:
        """Ask for a lease before the last one is used up."""
        if account not in self._due:
            self._due[account] = 0
            self._pump_in(_SCARCE_SECONDS if account.scarce else 0.0)

    def ask_again(self, account: Account, now: float) -> None:
        """Ask about a limit that is used up, once a second: it may have been raised, or a lease may have come back."""
        if now - account.known_at >= _ASK_AGAIN_SECONDS:
            self.renew(account)

    def report(self, accounts: Sequence[Account]) -> None:
        """Report soon what was settled."""
        dirty = self._dirty
        for account in accounts:
            if account not in dirty:
                dirty.add(account)
                self._pump_in(_pause(account))

    def give_back(self, account: Account) -> None:
        """Report now what was returned."""
        self._dirty.add(account)
        self._pump_in(0.0)

    def drop(self, account: Account) -> None:
        """Return the lease of a limit that is gone."""
        self._due.pop(account, None)
        self._active.discard(account)
        self.end(account.slice)
        self._pump_in(0.0)

    def end(self, held: Slice) -> None:
        """Close a slice; what is settled of it later is reported, too."""
        held.close()
        if not held.is_over:
            self._ended.add(held)

    async def close(self, timeout_seconds: float) -> None:
        """Return every lease."""
        self._is_closed = True
        self._tick_timer.cancel()
        self._due.clear()
        for account in self._active:
            self.end(account.slice)
        self._drained = self._loop.create_future()
        self._pump()
        if self._in_flight:
            await asyncio.wait([self._drained], timeout=timeout_seconds)

    def _pump_in(self, seconds: float) -> None:
        at = self._clock() + seconds
        if at >= self._at or self._in_flight:
            return  # the answer pumps again
        if self._timer is not None:
            self._timer.cancel()
        self._at = at
        self._timer = self._loop.call_later(seconds, self._pump)

    def _pump(self) -> None:
        """Send what is due."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._at = None, float("inf")
        if self._in_flight:
            return
        now = self._clock()
        for account in self._due:
            self._roll(account, now)
        asks = self._asks() if now >= self._retry_at else []
        wants = self._wants(now, asks)
        dirty = [self._dirty.pop() for _ in range(min(len(self._dirty), _MOST_METERS))]
        for account in dirty:
            if account.recalled and not account.waiting:
                account.slice.give_back()
        ended = [held for held in self._ended if held.spent or held.returned]
        slices = [*(account.slice for account in dirty), *ended[:_MOST_METERS]]
        accounts = [each._asdict() for held in slices if (each := held.report()) is not None]
        if self._waiting and not asks:
            self._pump_in(max(0.001, self._retry_at - now))
        if not (asks or wants or accounts or self._has_to_renew(now)):
            return
        self._top_up(wants, dirty, now)
        report = {"lease_seconds": LEASE_SECONDS, "accounts": accounts, "asks": asks, "wants": wants}
        self._sent_at = now
        self._in_flight = True
        self._exchange.send(
            _ENCODER.encode(report).decode(), lambda answer: self._in_loop(answer, now, asked=bool(asks))
        )

    def _roll(self, account: Account, now: float) -> None:
        if (ended := account.roll(now)) is not None:
            self._ended.add(ended)

    def _asks(self) -> list[dict[str, int]]:
        """Return the needs of the requests that wait. The available parts of them are returned, and asked for with the rest.

        So parts of a limit that are too small for a request do not stay in many gateways.
        """
        asks = []
        for parts, _ in zip(self._waiting, range(_MOST_ASKS), strict=False):
            asks.append({account.meter: amount for account, amount in parts})
            for account, _ in parts:
                account.slice.give_back()
                self._dirty.add(account)
        for account, amount in self._due.items():
            short = amount - max(0, account.slice.available)
            if short > 0 and not account.waiting and len(asks) < 2 * _MOST_ASKS:
                asks.append({account.meter: short})  # nothing waits for it, and it is needed soon
        return asks

    def _wants(self, now: float, asks: list[dict[str, int]]) -> dict[str, int]:
        wants: dict[str, int] = {}
        for account in list(self._due)[:_MOST_METERS]:
            if account.waiting and not asks:
                continue  # the next attempt asks for it
            wants[account.meter] = account.want(now, self._due.pop(account))
        for ask in asks:
            for meter, amount in ask.items():
                wants[meter] = wants.get(meter, 0) + amount
        return wants

    @staticmethod
    def _top_up(wants: dict[str, int], dirty: Sequence[Account], now: float) -> None:
        """Add what the accounts of settled calls will need soon: one exchange for several limits, not one for each."""
        for account in dirty:
            if account.meter not in wants and not account.waiting and (more := account.top_up(now)):
                wants[account.meter] = more

    def _has_to_renew(self, now: float) -> bool:
        """Whether leases would expire soon without a word."""
        return now - self._sent_at >= LEASE_SECONDS / 3 and any(
            each.slice.period_start is not None and each.slice.held for each in self._active
        )

    def _in_loop(self, answer: dict[str, Any], sent_at: float, *, asked: bool) -> None:
        with suppress(RuntimeError):  # the loop has ended: nothing is reserved any more
            self._loop.call_soon_threadsafe(self._answered, answer, sent_at, asked)

    def _answered(self, answer: dict[str, Any], sent_at: float, asked: bool) -> None:
        now = self._clock()
        self._in_flight = False
        for grant in answer["grants"]:
            account = self._book.accounts.get(grant["meter"])
            if account is None or self._is_closed:
                self._return(grant, sent_at)
            else:
                self._active.add(account)
                if (ended := account.granted(grant, now, sent_at)) is not None:
                    self._ended.add(ended)
        self._ended = {each for each in self._ended if not each.is_over}
        for alert in answer["alerts"]:
            self.on_alert(alert)
        progress = self._waiting.wake()
        if asked:
            self._retry_seconds = _FIRST_RETRY if progress else min(2 * self._retry_seconds, _LONGEST_RETRY)
            self._retry_at = now if progress else now + self._retry_seconds
        for parts in self._waiting:
            for account, amount in parts:
                self.need(account, amount)
        for account in self._due:
            self._pump_in(_SCARCE_SECONDS if account.scarce else 0.0)
        if any(held.spent or held.returned for held in self._ended):
            self._pump_in(0.0 if self._is_closed else _SCARCE_SECONDS)
        for account in self._dirty:
            self._pump_in(_SCARCE_SECONDS if account.slice.returned else _pause(account))
        if self._drained is not None and not self._drained.done() and self._timer is None:
            self._drained.set_result(None)

    def _return(self, grant: dict[str, Any], sent_at: float) -> None:
        """Return what was granted after its limit was removed, or after the end."""
        if grant.get("granted"):
            self.end(Slice(grant["meter"], grant["period_start"], sent_at, grant["granted"]))

    def _tick(self) -> None:
        """Once a second: close periods, return what nothing uses, and keep the leases."""
        self._tick_timer = self._loop.call_later(_TICK_SECONDS, self._tick)
        now = self._clock()
        for account in list(self._active):
            self._roll(account, now)
            held = account.slice
            if not (held.held or account.waiting) and now - account.used_at > _IDLE_SECONDS:
                self._active.discard(account)
            elif held.available > 0 and held.period_start is not None and now - account.used_at > _IDLE_SECONDS:
                held.give_back()
                account.low = account.target = 0
                self._dirty.add(account)
        self._pump()


def _pause(account: Account) -> float:
    """Return how soon a settlement is reported."""
    if account.recalled:
        return _RECALLED_SECONDS
    return _SCARCE_SECONDS if account.scarce else _REPORT_SECONDS
