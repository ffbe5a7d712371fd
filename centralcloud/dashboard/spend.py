"""The arithmetic of spend over time: a length of time and the one before it, hours, days of a zone's calendar. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from centralcloud.dashboard.charts import Column
from centralcloud.dashboard.costs import NANO
from centralcloud.dashboard.sources.money import DAY, HOUR, Money, SpendHour, part_of_hour


class History(NamedTuple):
    """Hours of spend, and which of them are known.

    Attributes:
        first_hour: the first hour of the fleet with a record; None: there is none.
        now: times in UTC, as everywhere here: differences of local times are wrong where clocks change.
        some_unknown: whether some costs are not known: a period without any known cost then has no amount, and not 0.
    """

    hours: Sequence[SpendHour]
    first_hour: datetime | None
    now: datetime
    some_unknown: bool

    def column(self, start: datetime, begin: datetime, end: datetime, nano: float | None) -> Column:
        """Return the column of a period. `nano`: None where no decision arrived."""
        before = self.first_hour is None or end <= self.first_hour
        unknown = before or (self.some_unknown and nano is not None and not nano)
        return Column(start, None if unknown else (nano or 0) / NANO, running=begin <= self.now < end)


def spent(hours: Iterable[SpendHour], since: datetime, until: datetime, now: datetime) -> int:
    """Return the known cost of a time in 1e-9 USD; of an hour that lies in it in part, its part."""
    return round(sum(each.cost_nano_usd * part_of_hour(each.hour, since, until, now) for each in hours))


def change_of(money: Money, hours: Sequence[SpendHour], length: timedelta) -> float | None:
    """Return the change of the spend against the time before, 0.02 for +2%; None where that time is not known as a whole."""
    now = money.read_at
    if money.first_hour is None or money.first_hour > now - 2 * length + HOUR:
        return None
    before = spent(hours, now - 2 * length, now - length, now)
    return spent(hours, now - length, now, now) / before - 1 if before else None


def hours_of(history: History, since: datetime, until: datetime) -> list[Column]:
    """Return the hours (UTC) of a time as columns."""
    amounts: dict[datetime, float] = defaultdict(float)
    for each in history.hours:
        amounts[each.hour] += each.cost_nano_usd * part_of_hour(each.hour, since, until, history.now)
    first, found = since.replace(minute=0, second=0, microsecond=0), []
    while first < until:
        found.append(history.column(first, first, first + HOUR, amounts.get(first)))
        first += HOUR
    return found


def days_of(history: History, since: datetime, until: datetime, zone: tzinfo) -> list[Column]:
    """Return the days of a zone's calendar that a time touches. An hour counts for the day in which it begins."""
    amounts: dict[date, float] = defaultdict(float)
    for each in history.hours:
        amounts[each.hour.astimezone(zone).date()] += each.cost_nano_usd * part_of_hour(
            each.hour, since, until, history.now
        )
    day, found = since.astimezone(zone).date(), []
    while (start := datetime.combine(day, time(), zone)).astimezone(UTC) < until:
        day += timedelta(days=1)
        end = datetime.combine(day, time(), zone).astimezone(UTC)
        found.append(history.column(start, start.astimezone(UTC), end, amounts.get(start.date())))
    return found


def covered_days(money: Money, length: timedelta) -> float:
    """Return the days of a time that have records, and 1 at least: the first hour of a fleet is not a day's pace."""
    begins = money.read_at - length if money.first_hour is None else max(money.first_hour, money.read_at - length)
    return max(1.0, (money.read_at - begins) / DAY)
