"""Admission by spend and rate limits: reserve the worst case before a call, settle what it cost after it.

The gateway uses it like this, in its event loop::

    charge = spender.charge(workspace=..., key_id=..., policy=..., worker=...)     # a look-up, kept
    # Planning: `charge.task_limit_nano` strikes targets that may cost more (`policy_cost`).
    rate = await spender.admit(key_id, tokens)            # once a request; a Refusal is its 429
    for call in plan:                                     # each attempt is paid, so each reserves
        found = await spender.reserve(charge, worst_case_nano, cheap=call.model in cheap_models)
        if isinstance(found, Refusal):
            ...                                           # 402; or another plan: `found.then` says which models may answer
        with found:                                       # an error settles the worst case as estimated
            answer = await upstream(call)
            found.settle(answer.cost_nano, estimated=answer.cost_is_estimated)
    rate.settle(tokens_used)                              # `rate.cancel()` where nothing was sent anywhere

Refused before the call was sent: `found.cancel()`. A stream that its client left: what the tokens that were sent cost,
``estimated=True``. A time-out before the first byte, which may have been paid: the worst case, ``estimated=True``. Models of
price 0 reserve 0. A target whose price is not known has no worst case: under a budget the plan leaves it out.

Where there is a lease nothing waits, and `reserve_now` and `admit_now` are the same without a coroutine; None: the request
has to wait. The limits come by `use`, from the event loop, at each change of the configuration. `recalled` is for
notifications on `SPEND_CHANNEL`. `Book.unenforced` is the check at the start. At the end: `close`, while the exchange runs.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from centralcloud.contracts.fleet_configuration import ApiKey, Budget, FleetConfiguration
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.wording import usd
from instance_agent.spend.account import MOST_AMOUNT, Account, Slice
from instance_agent.spend.book import Book, Charge
from instance_agent.spend.exchange import SpendExchange
from instance_agent.spend.refusal import Refusal, RefusalCode, refuse_budgets, refuse_rate, refuse_task
from instance_agent.spend.reporter import Reporter
from instance_agent.spend.reservation import Outcome, Part, RateReservation, Reservation
from instance_agent.spend.waiting import MOST_WAITING, Waiting, Wishes

log = get_logger(__name__)


class Spender:
    """The limits of one gateway. Created in its event loop, and used by it alone.

    Attributes:
        book: the limits.
        reserved: reservations since the start.
        counts: since the start: ``waited``, ``alerts``, and refusals by their code.
        on_alert: called with the id of a budget when a report of this gateway has reached its alert threshold: once in the
            fleet for a budget and period.
    """

    def __init__(self, exchange: SpendExchange, clock: Callable[[], float] | None = None) -> None:
        """Create it; `clock`: of the event loop, in seconds."""
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._clock = clock or loop.time
        self.book = Book()
        self.reserved = 0
        self.counts: Counter[str] = Counter()
        self.on_alert: Callable[[str], object] | None = None
        self._waiting = Waiting(self._clock)
        self._reporter = Reporter(exchange, self.book, self._waiting, self._clock, self._alert)
        self._is_closed = False
        exchange.on_down = lambda: self._in_loop(self._waiting.end)

    @property
    def up(self) -> bool:
        """Whether the database has answered the newest exchange, as far as it has ended."""
        return self._reporter.up

    def use(self, configuration: FleetConfiguration) -> None:
        """Use the limits of another configuration. Leases on lower limits, and on those that are gone, are returned."""
        lowered, gone = self.book.use(configuration)
        for account in lowered:
            account.slice.give_back()
            account.low = account.target = 0
            self._reporter.give_back(account)
        for account in gone:
            self._reporter.drop(account)
        # Every request counts in these: their first one finds a connection, and what is left.
        for account in self.book.charge().accounts:
            if account.possible is None:
                self._reporter.renew(account)

    def charge(
        self,
        *,
        workspace: str | None = None,
        key_id: str | None = None,
        policy: str | None = None,
        worker: str | None = None,
    ) -> Charge:
        """Return the budgets of a request: those of the fleet, and of what it belongs to."""
        return self.book.charge(workspace=workspace, key_id=key_id, policy=policy, worker=worker)

    def reserve_now(self, charge: Charge, nano: int, *, cheap: bool = False) -> Outcome | None:
        """Reserve the worst case of a call of all its budgets, or of none; None: it has to wait, see `reserve`.

        Args:
            charge: of the request.
            nano: in nano-USD; 0 for a model of price 0, which budgets refuse only if they stop and are used up.
            cheap: the model is one that the budgets name for the time after their limits: their overdraft counts, too.
        """
        if charge.task is not None and nano > charge.task.limit_nano_usd:
            self.counts["task_limit"] += 1
            return refuse_task(charge.task, nano)
        if not 0 <= nano <= MOST_AMOUNT:
            nano = _bounded(nano)
        now = self._clock()
        if not nano:
            return self._reserve_nothing(charge, now)
        accounts = charge.accounts
        slices = []
        for account in accounts:
            held = account.slice
            if held.available < nano or now >= held.until or account.waiting:
                return self._find(charge, nano, now, cheap=cheap)
            slices.append(held)
        for account in accounts:
            held = account.slice
            held.available = left = held.available - nano
            held.reserved += nano
            account.used_at = now
            if left < account.low:
                self._reporter.renew(account)
        self.reserved += 1
        return Reservation(accounts, slices, nano, self._settled)

    async def reserve(self, charge: Charge, nano: int, *, cheap: bool = False) -> Outcome:
        """Reserve the worst case of a call; waits up to 250 ms where no lease is left. Arguments as of `reserve_now`."""
        found = self.reserve_now(charge, nano, cheap=cheap)
        if found is not None:
            return found
        nano = _bounded(nano)
        parts = self._parts(charge, nano, self._clock(), cheap=cheap)
        return await self._wait(parts, lambda: self._take(parts, nano, self._clock()))

    def exhausted(self, charge: Charge) -> Refusal | None:
        """Return the refusal of every model that costs, where nothing at all is left of a budget; None: each has some."""
        now = self._clock()
        for account in charge.accounts:
            if account.is_exhausted(0, now):
                break
        else:
            return None
        found = [
            overdraft if overdraft is not None and overdraft.is_exhausted(0, now) else account
            for account, overdraft in zip(charge.accounts, charge.overdrafts, strict=True)
            if account.is_exhausted(0, now)
        ]
        for account in found:
            self._reporter.ask_again(account, now)
        return self._refuse(found, 0, "budget_exhausted", now)

    def has(self, charge: Charge, nano: int) -> bool:
        """Whether `reserve_now` would reserve so much; where it would wait, a lease is asked for."""
        now = self._clock()
        found = all(account.has(nano, now) for account in charge.accounts)
        if not found and self._refusal([(account, nano) for account in charge.accounts], now) is None:
            self.prepare(charge, nano)
        return found

    def prepare(self, charge: Charge, nano: int) -> None:
        """Ask for a lease that no request waits for."""
        for account in charge.accounts:
            self._reporter.need(account, _bounded(nano))

    def admit_now(self, key_id: str | None, tokens: int = 0) -> Outcome | None:
        """Count a request of a key by its rate limits; None: it has to wait, see `admit`.

        Args:
            key_id: None: there are no keys, and no rate limits.
            tokens: of the prompt, and the most of the answer.
        """
        tokens = _bounded(tokens)
        parts = self._rate_parts(key_id, tokens)
        now = self._clock()
        for account, amount in parts:
            held = account.slice
            if held.available < amount or now >= held.until or account.waiting:
                return self._refusal(parts, now)
        return self._take_rate(parts, tokens, now)

    async def admit(self, key_id: str | None, tokens: int = 0) -> Outcome:
        """Count a request of a key; waits up to 250 ms where no lease is left. Arguments as of `admit_now`."""
        found = self.admit_now(key_id, tokens)
        if found is not None:
            return found
        tokens = _bounded(tokens)
        parts = self._rate_parts(key_id, tokens)
        return await self._wait(parts, lambda: self._take_rate(parts, tokens, self._clock()))

    def recalled(self, meter: str) -> None:
        """Return what is not reserved of a meter, because another gateway needs it. From any thread."""
        self._in_loop(self._recalled, meter)

    async def close(self, timeout_seconds: float = 1.0) -> None:
        """Return every lease; requests that wait are refused. Later settlements are reported while the loop runs."""
        self._is_closed = True
        self._waiting.end()
        await self._reporter.close(timeout_seconds)

    def _in_loop(self, work: Callable[..., object], *arguments: str) -> None:
        with suppress(RuntimeError):  # the loop has ended: nothing is reserved any more
            self._loop.call_soon_threadsafe(work, *arguments)

    def _recalled(self, meter: str) -> None:
        account = self.book.accounts.get(meter)
        if account is not None and account.recall():
            self._reporter.give_back(account)

    # The way without a wait

    def _take(self, parts: list[Part], nano: int, now: float) -> Reservation:
        return Reservation(*self._taken(parts, now), nano, self._settled)

    def _take_rate(self, parts: list[Part], tokens: int, now: float) -> Reservation:
        return RateReservation(*self._taken(parts, now), tokens, self._settled)

    def _taken(self, parts: list[Part], now: float) -> tuple[list[Account], list[Slice]]:
        """Take the parts, which the caller has seen to be there."""
        accounts, slices = [], []
        for account, amount in parts:
            held = account.slice
            held.available -= amount
            held.reserved += amount
            account.used_at = now
            if held.available < account.low:
                self._reporter.renew(account)
            accounts.append(account)
            slices.append(held)
        self.reserved += 1
        return accounts, slices

    def _settled(self, accounts: Sequence[Account]) -> None:
        self._reporter.report(accounts)
        if self._waiting:
            self._waiting.wake()

    def _reserve_nothing(self, charge: Charge, now: float) -> Outcome:
        for account in charge.accounts:
            budget: Budget = account.owner
            if budget.on_limit == "stop" and account.is_exhausted(0, now):
                self._reporter.ask_again(account, now)
                return self._refuse([account], 0, "budget_exhausted", now)
        return Reservation((), (), 0, self._settled)

    def _find(self, charge: Charge, nano: int, now: float, *, cheap: bool) -> Outcome | None:
        parts = self._parts(charge, nano, now, cheap=cheap)
        if cheap and all(account.has(amount, now) for account, amount in parts):
            return self._take(parts, nano, now)
        return self._refusal(parts, now)

    @staticmethod
    def _parts(charge: Charge, nano: int, now: float, *, cheap: bool) -> list[Part]:
        """Return the accounts that pay: for a cheap model the overdraft of each budget that is used up."""
        if not cheap:
            return [(account, nano) for account in charge.accounts]
        return [
            (overdraft if overdraft is not None and account.is_exhausted(nano, now) else account, nano)
            for account, overdraft in zip(charge.accounts, charge.overdrafts, strict=True)
        ]

    def _rate_parts(self, key_id: str | None, tokens: int) -> list[Part]:
        rates = self.book.rates(key_id)
        if rates is None:
            return []
        parts: list[Part] = [(rates.requests, 1)]
        if rates.tokens is not None:
            parts.append((rates.tokens, tokens))
        return parts

    # The way with a wait

    async def _wait(self, parts: list[Part], take: Callable[[], Reservation]) -> Outcome:
        now = self._clock()
        if self._is_closed or len(self._waiting) >= MOST_WAITING:
            return self._late(parts, now)
        self.counts["waited"] += 1

        def answer(is_late: bool) -> Outcome | None:
            now = self._clock()
            return self._refusal(parts, now) or (self._late(parts, now) if is_late else None)

        for account, amount in parts:
            self._reporter.need(account, amount)
        return await self._waiting.wait(Wishes(parts, take, answer))

    def _refusal(self, parts: Sequence[Part], now: float) -> Outcome | None:
        """Return why waiting is of no use; None: it may help. Without the database a rate limit may admit."""
        exhausted = [(account, amount) for account, amount in parts if account.is_exhausted(amount, now)]
        if exhausted:
            for account, _ in exhausted:
                self._reporter.ask_again(account, now)
            accounts = [account for account, _ in exhausted]
            return self._refuse(accounts, exhausted[0][1], "budget_exhausted", now)
        if self._reporter.up:
            return None
        for account, amount in parts:
            self._reporter.need(account, amount)
        if isinstance(parts[0][0].owner, ApiKey):
            return self._admit_alone(list(parts), now)
        short = [(account, amount) for account, amount in parts if not account.has(amount, now)] or list(parts)
        return self._refuse([account for account, _ in short], short[0][1], "database_unavailable", now)

    def _late(self, parts: list[Part], now: float) -> Outcome:
        """Return the end of a wait that has brought nothing."""
        accounts = [account for account, _ in parts]
        if isinstance(accounts[0].owner, ApiKey) and any(account.possible is None for account in accounts):
            return self._admit_alone(parts, now)  # the first answer of the database is slow: that stops no gateway
        return self._late_refusal(parts, now)

    def _late_refusal(self, parts: Sequence[Part], now: float) -> Refusal:
        short = [(account, amount) for account, amount in parts if account.slice.available < amount] or list(parts)
        accounts = [account for account, _ in short]
        # Without any answer so far, the database is as good as unavailable.
        known = all(account.possible is not None for account in accounts)
        return self._refuse(accounts, short[0][1], "budget_busy" if known else "database_unavailable", now)

    def _admit_alone(self, parts: list[Part], now: float) -> Outcome:
        """Admit a request without the database, by this gateway's share of the limit: it stops no gateway."""
        for account, amount in parts:
            if now >= account.slice.until:
                self._reporter.end(account.slice)
                account.slice = self._share(account, now)
            if account.slice.available < amount:
                return self._refuse([account], amount, "rate_limited", now)
        return self._take_rate(parts, parts[-1][1], now)

    @staticmethod
    def _share(account: Account, now: float) -> Slice:
        rate = account.owner.rate_limit
        limit = getattr(rate, account.meter.partition("/")[0])
        return Slice(account.meter, None, now + rate.window_ms / 1000, max(1, limit // account.sharers))

    def _refuse(self, accounts: Sequence[Account], amount: int, code: RefusalCode, now: float) -> Refusal:
        if isinstance(accounts[0].owner, ApiKey):
            refusal = refuse_rate(accounts[0], amount, now)
        else:
            refusal = refuse_budgets(accounts, amount, code, now)
        self.counts[refusal.code] += 1
        return refusal

    def _alert(self, alert: dict[str, Any]) -> None:
        self.counts["alerts"] += 1
        budget = alert["meter"].partition("/")[2]
        spent, limit = usd(alert["spent"]), usd(alert["limit"])
        log.warning("budget_alert", budget=budget, spent=spent, limit=limit, threshold=alert["threshold"])
        if self.on_alert is not None:
            self.on_alert(budget)


def _bounded(amount: int) -> int:
    return min(max(0, amount), MOST_AMOUNT)
