"""Spend and outcomes: by hour, and by model and complexity.

Complete hours come from the roll-ups. The roll-ups may have a part of the hour that runs: that hour comes from the evidence
and the newest records alone, so that no record counts twice.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.dashboard.reader.source import Lookup, Source, Tier
from centralcloud.runtime.postgres.query import Query

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
WEEK: Final = timedelta(days=7)
MONTH: Final = timedelta(days=30)


class SpendHour(NamedTuple):
    """An hour (UTC) of one complexity. `cost_nano_usd`: the costs that are known, in 1e-9 USD."""

    hour: datetime
    complexity: str
    decisions: int
    successes: int
    failures: int
    cost_nano_usd: int


class PairMoney(NamedTuple):
    """A pair over some time.

    Attributes:
        decisions, successes, failures: rounded; of an hour that lies in the time in part, its part.
        cost_nano_usd: the costs that are known, in 1e-9 USD.
        priced: share of the outcomes, 0 to 1, whose cost is known; None: no outcome.
        p50_ms, p95_ms: means of the percentiles of its hours and instances, weighed by their outcomes.
    """

    model: str
    complexity: str
    decisions: int
    successes: int
    failures: int
    cost_nano_usd: int
    priced: float | None
    p50_ms: float | None
    p95_ms: float | None


class Money(NamedTuple):
    """Spend of a time, and of the time before it.

    Attributes:
        read_at: the time ends here, or earlier.
        first_hour: the first hour with a record; None: there is none.
        hours: oldest first; an hour without decisions has no rows. The newest one may not have ended.
        pairs: for each length of time, by model and complexity.
    """

    read_at: datetime
    first_hour: datetime | None
    hours: tuple[SpendHour, ...]
    pairs: tuple[tuple[timedelta, tuple[PairMoney, ...]], ...]

    def pairs_of(self, length: timedelta) -> tuple[PairMoney, ...]:
        """Return the pairs of the last `length` of time; empty for a length that was not read."""
        return dict(self.pairs).get(length, ())


class _State(NamedTuple):
    now: datetime
    complete_until: datetime
    first_hour: datetime | None


class UnrolledHour(NamedTuple):
    """An hour of a pair that the roll-ups do not have completely."""

    hour: datetime
    model: str
    complexity: str
    decisions: int
    successes: int
    failures: int
    cost_nano_usd: int


class _RolledUpPair(NamedTuple):
    model: str
    complexity: str
    decisions: float
    successes: float
    failures: float
    cost_nano_usd: float
    p50_ms: float | None
    p95_ms: float | None


class _Priced(NamedTuple):
    model: str
    complexity: str
    outcomes: int
    priced: int
    cost_usd: float


_READ_STATE = Query(__package__, "read_roll_up_state", row=_State)
_LIST_UNROLLED_HOURS = Query(__package__, "list_unrolled_hours", row=UnrolledHour)
_LIST_ROLLED_UP_HOURS = Query(__package__, "list_rolled_up_hours", row=SpendHour)
_LIST_ROLLED_UP_PAIRS = Query(__package__, "list_rolled_up_pairs", row=_RolledUpPair)
_LIST_PRICED_OUTCOMES = Query(__package__, "list_priced_outcomes", row=_Priced)


class MoneyReader:
    """Reads spend in one transaction; what the roll-ups lack is read once for all calls.

    Attributes:
        now: the time of the transaction.
        complete_until: the roll-ups have all hours before.
        unrolled: the hours from then on.
        first_hour: the first hour with a record; None: there is none.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        state = _READ_STATE.one(connection)
        # Differences of local times are wrong where clocks change: everything is in UTC from here on.
        self.now = state.now.astimezone(UTC)
        self.complete_until = state.complete_until.astimezone(UTC)
        self.unrolled = [
            each._replace(hour=each.hour.astimezone(UTC))
            for each in _LIST_UNROLLED_HOURS.all(connection, {"complete_until": self.complete_until})
        ]
        hours = [each.hour for each in self.unrolled]
        if state.first_hour is not None:
            hours.append(state.first_hour.astimezone(UTC))
        self.first_hour = min(hours, default=None)

    def hours(self, since: datetime, until: datetime) -> tuple[SpendHour, ...]:
        """Return the hours that lie between two times, in part or as a whole; oldest first."""
        rows = [
            each._replace(hour=each.hour.astimezone(UTC))
            for each in _LIST_ROLLED_UP_HOURS.all(self._connection, self._time(since, until))
        ]
        newest: dict[tuple[datetime, str], list[UnrolledHour]] = defaultdict(list)
        for each in self.unrolled:
            if since - HOUR < each.hour < until:
                newest[each.hour, each.complexity].append(each)
        return (*rows, *(_summed(*key, hours) for key, hours in sorted(newest.items())))

    def pairs(self, since: datetime, until: datetime) -> tuple[PairMoney, ...]:
        """Return the pairs of a time; by model and complexity."""
        time = self._time(since, until)
        amounts: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * 4)
        latencies: dict[tuple[str, str], tuple[float | None, float | None]] = {}
        for row in _LIST_ROLLED_UP_PAIRS.all(self._connection, time):
            _add(amounts[row.model, row.complexity], row[2:6], 1.0)
            latencies[row.model, row.complexity] = row.p50_ms, row.p95_ms
        for hour in self.unrolled:
            if part := part_of_hour(hour.hour, since, until, self.now):
                _add(amounts[hour.model, hour.complexity], hour[3:], part)
        priced = {(each.model, each.complexity): each for each in _LIST_PRICED_OUTCOMES.all(self._connection, time)}
        rows = []
        for pair, found in sorted(amounts.items()):
            if any(found):
                decisions, successes, failures, cost = (round(each) for each in found)
                share = _priced_share(priced.get(pair), found)
                rows.append(
                    PairMoney(*pair, decisions, successes, failures, cost, share, *latencies.get(pair, (None, None)))
                )
        return tuple(rows)

    def _time(self, since: datetime, until: datetime) -> dict[str, datetime]:
        return {"since": since, "until": until, "complete_until": self.complete_until}


def part_of_hour(hour: datetime, since: datetime, until: datetime, now: datetime) -> float:
    """Return the part of an hour, 0 to 1, that lies between two times. The hour that runs ends now."""
    end = min(hour + HOUR, max(now, hour))
    inside = (min(end, until) - max(hour, since)).total_seconds()
    length = (end - hour).total_seconds()
    return min(1.0, max(0.0, inside / length)) if length else float(since <= hour < until)


def _summed(hour: datetime, complexity: str, rows: Sequence[UnrolledHour]) -> SpendHour:
    columns = zip(*(row[3:] for row in rows), strict=True)
    return SpendHour(hour, complexity, *(sum(column) for column in columns))


def _add(amounts: list[float], values: Sequence[float], part: float) -> None:
    for index, value in enumerate(values):
        amounts[index] += part * value


def _priced_share(found: _Priced | None, amounts: Sequence[float]) -> float | None:
    """Return the share of outcomes whose cost is known: of closed slices, else whether any cost is known."""
    _, successes, failures, cost = amounts
    if found is None or not found.outcomes:
        return float(cost > 0) if successes + failures else None
    if not found.priced:
        # The cost may have come with the decision, for an outcome that is feedback.
        return float(found.cost_usd > 0)
    return min(1.0, found.priced / found.outcomes)


def read_money(connection: psycopg.Connection[Any], *lengths: timedelta) -> Money:
    """Read the spend of the last `lengths` of time, and the hours of twice the longest one, to compare it with."""
    reader = MoneyReader(connection)
    now = reader.now
    return Money(
        now,
        reader.first_hour,
        reader.hours(now - 2 * max(lengths), now),
        tuple((length, reader.pairs(now - length, now)) for length in lengths),
    )


#: The last day and the last week.
MONEY: Final = Source("money", Tier.MINUTE, lambda connection: read_money(connection, DAY, WEEK))
#: The last 30 days, for the page that asks for them.
MONEY_OF_MONTH: Final = Lookup("money_of_month", lambda connection: read_money(connection, MONTH), keep_seconds=300)
