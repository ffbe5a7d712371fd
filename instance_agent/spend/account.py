"""The account of a limit in one gateway: its lease, what is reserved of it, and what was spent. Pure integer arithmetic.

At every moment, of one lease in one period::

    lease = available + reserved + spent + returned

`lease` is what the database has granted and knows no spend or return of yet; `spent` and `returned` are what the next
exchange reports. A reservation moves its worst case from `available` to `reserved`; settling it moves what was spent to
`spent`, and the rest back. So a gateway spends no more than its leases while no call costs more than its worst case, and the
database lets no sum of leases pass a limit.
"""

from typing import Any, Final, NamedTuple

#: Stands for no limit: more than any sum of reservations.
UNLIMITED: Final = 1 << 62
#: Most of one reservation, and of one settlement: a million USD. The database refuses a report with an amount that is out of
#: its bounds, and with it those of every other limit.
MOST_AMOUNT: Final = 10**15
#: The first slice is for so many requests.
FIRST_REQUESTS: Final = 16
#: A slice that lasts shorter than this is doubled, and one that lasts longer than the second is halved; in seconds. Half a
#: slice has to last for an exchange with a database that is slow.
_SHORT_SECONDS: Final = 2.0
#: One that lasts shorter than this is the first one of many requests, and grows at once: else they would wait for exchanges.
_FAR_TOO_SHORT_SECONDS: Final = 0.2
_FAST_GROWTH: Final = 8
_LONG_SECONDS: Final = 8.0
_LARGEST_TARGET: Final = 10**17


class Settled(NamedTuple):
    """The report of one slice in an exchange."""

    meter: str
    period_start: str
    spent: int
    estimated: int
    returned: int


class Slice:
    """The lease on one meter in one period.

    Attributes:
        meter: as in the table `spend_periods`.
        period_start: as the database named it; None: the lease is not of the database, and nothing is reported.
        until: when the period ends, by the clock of the event loop.
        is_open: whether it is still used for new reservations.
        available, reserved, spent, returned: see the module.
        estimated: part of `spent`.
    """

    __slots__ = ("available", "estimated", "is_open", "meter", "period_start", "reserved", "returned", "spent", "until")

    def __init__(self, meter: str, period_start: str | None, until: float, available: int = 0) -> None:
        self.meter = meter
        self.period_start = period_start
        self.until = until
        self.is_open = True
        self.available = available
        self.reserved = 0
        self.spent = 0
        self.estimated = 0
        self.returned = 0

    @property
    def held(self) -> int:
        """The lease that the database knows of, as far as it is known here."""
        return self.available + self.reserved + self.spent + self.returned

    def settle(self, reserved: int, spent: int, *, estimated: bool) -> None:
        """End a reservation. More spent than reserved is taken from what is available, which may become negative."""
        spent = min(max(0, spent), MOST_AMOUNT)
        self.reserved -= reserved
        self.spent += spent
        if estimated:
            self.estimated += spent
        if self.is_open:
            self.available += reserved - spent
        else:
            self.returned += max(0, reserved - spent)

    def give_back(self) -> None:
        """Return what is not reserved, unless it is not of the database."""
        if self.available > 0 and self.period_start is not None:
            self.returned += self.available
            self.available = 0

    def close(self) -> None:
        """Use it for no new reservation: its period has ended, or the gateway stops."""
        self.is_open = False
        self.give_back()
        self.available = 0

    def report(self) -> Settled | None:
        """Take what the next exchange reports; None: nothing."""
        if self.period_start is None or not (self.spent or self.returned):
            return None
        report = Settled(self.meter, self.period_start, self.spent, self.estimated, self.returned)
        self.spent = self.estimated = self.returned = 0
        return report

    @property
    def is_over(self) -> bool:
        """Whether nothing will be reported of it any more."""
        unreported = self.period_start is not None and (self.spent or self.returned)
        return not (self.is_open or self.reserved or unreported)


class Account:
    """A meter as one gateway uses it.

    Attributes:
        meter: budget/ID, overdraft/ID, requests/KEY or tokens/KEY.
        slice: the lease in the current period.
        waiting: requests that wait for it. New ones wait behind them.
        low: below this it is renewed.
        target: how much should be available.
        possible: the most that could be spent in the period from now on, by all gateways, as of `known_at`; None: not known.
        known_at: when the database was heard last about it, by the clock of the event loop.
        limit: of the period, as of `known_at`.
        lag: how long the newest exchange took: the period may end so much later than `slice.until`.
        scarce: whether less was granted than was wanted: spend is then reported sooner.
        recalled: whether another gateway needs what comes back: it is returned at once.
        used_at: when a request last reserved of it.
        sharers: gateways that use the meter, as of `known_at`.
        owner: the budget or the rate limit that it is for.
    """

    __slots__ = (
        "granted_at", "known_at", "lag", "limit", "low", "meter", "owner", "possible", "recalled", "scarce", "sharers",
        "slice", "target", "used_at", "waiting",
    )  # fmt: skip

    def __init__(self, meter: str, owner: Any) -> None:
        self.meter = meter
        self.owner = owner
        self.slice = Slice(meter, None, float("-inf"))
        self.waiting = 0
        self.low = 0
        self.target = 0
        self.possible: int | None = None
        self.known_at = float("-inf")
        self.granted_at = float("-inf")
        self.lag = 0.0
        self.limit: int | None = None
        self.scarce = False
        self.recalled = False
        self.used_at = float("-inf")
        self.sharers = 1

    def has(self, amount: int, now: float) -> bool:
        """Whether a reservation needs no exchange."""
        held = self.slice
        return held.available >= amount and now < held.until and not self.waiting

    def is_exhausted(self, amount: int, now: float) -> bool:
        """Whether waiting is of no use: the amount is more than all gateways together could still spend in the period."""
        if self.possible is None or now >= self.slice.until:
            return False
        if not amount:
            return self.possible - self.slice.spent <= 0
        return amount > self.possible - self.slice.spent

    @property
    def remaining(self) -> int | None:
        """The amount that all gateways together can still spend in the period; None: not known."""
        return None if self.possible is None else max(0, self.possible - self.slice.spent)

    def seconds_left(self, now: float) -> float | None:
        """Return the time until the period has ended for certain; None: not known."""
        seconds = self.slice.until + self.lag - now
        return seconds if 0 < seconds < float("inf") else None

    def want(self, now: float, needed: int) -> int:
        """Return how much more to ask for, by how long the newest slice has lasted.

        Args:
            needed: by a request of the moment; 0: by none, so that the account is as it should be if it has half of a slice.
        """
        lasted = now - self.granted_at
        if lasted < _SHORT_SECONDS and not self.scarce:
            self.target *= _FAST_GROWTH if lasted < _FAR_TOO_SHORT_SECONDS else 2
        elif lasted > _LONG_SECONDS:
            self.target //= 2
        self.target = min(max(self.target, FIRST_REQUESTS * needed), _LARGEST_TARGET)
        available = max(0, self.slice.available)
        if available >= self.target:  # nothing will be granted: else every request would ask again
            self.low = min(self.low, available // 2)
        return max(0, self.target - available)

    def top_up(self, now: float) -> int:
        """Return how much more to ask for in an exchange that is made anyway, so that the account needs none of its own.

        A slice lasts for at least two reports, so that a quarter of it is used between them where requests keep coming.
        """
        held = self.slice
        if self.scarce or self.recalled or not self.low or not held.is_open or now >= held.until:
            return 0
        if 4 * held.available > 3 * self.target:
            return 0
        if 2 * held.available > self.target and now - self.granted_at > _LONG_SECONDS / 2:
            self.target //= 2
            self.low = min(self.low, self.target // 2)
        return max(0, self.target - max(0, held.available))

    def recall(self) -> bool:
        """Return what is not reserved to other gateways, which need it; False: there is nothing to return yet."""
        if self.waiting or self.slice.period_start is None:
            return False
        self.scarce = self.recalled = True
        self.low = self.target = 0
        self.slice.give_back()
        return bool(self.slice.returned)

    def forget(self) -> None:
        """Ask the database again before a request is refused: the limit may have changed."""
        self.possible = None

    def granted(self, grant: dict[str, Any], now: float, sent_at: float) -> Slice | None:
        """Take an answer of the database; returns the slice of a period that has ended by it.

        Args:
            grant: of this meter.
            sent_at: when the exchange was sent: the period ends no later than counted from then.
        """
        before, ended = self.slice, None
        self.known_at = now
        self.lag = now - sent_at
        if grant.get("unlimited"):
            ended = self._replace(Slice(self.meter, None, now + 60.0, UNLIMITED))
            self.possible, self.limit, self.scarce, self.low = None, None, False, 0
            return ended
        start = grant["period_start"]
        if before.period_start != start:
            ended = self._replace(Slice(self.meter, start, float("-inf")))
        held = self.slice
        held.is_open = True
        held.until = sent_at + grant["seconds_left"]
        # The database's number, less what happened since the report was made: it cannot drift apart.
        held.available = grant["lease"] - held.reserved - held.spent - held.returned
        self.limit = grant["limit"]
        self.possible = max(0, grant["limit"] - grant["spent"])
        self.sharers = grant["sharers"]
        self.scarce = grant["scarce"]
        if grant["granted"]:
            self.recalled = False
            self.granted_at = now
            self.low = max(0, held.available) // 2
        elif self.scarce:
            self.low = 0
        return ended

    def _replace(self, newer: Slice) -> Slice | None:
        before, self.slice = self.slice, newer
        before.close()
        return None if before.is_over else before

    def roll(self, now: float) -> Slice | None:
        """Close the slice of a period that has ended; returns it while something of it has to be reported."""
        held = self.slice
        if now < held.until or not held.is_open:
            return None
        held.close()
        self.possible = None
        self.low = 0
        return None if held.is_over else held
