"""The arithmetic of spend over time: a length of time and the one before it, hours, days of a zone's calendar. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta, tzinfo

from centralcloud.dashboard.charts import Column
from centralcloud.dashboard.costs import NANO
from centralcloud.dashboard.sources.money import DAY, HOUR, Money, SpendHour, part_of_hour


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


def by_hour(hours: Sequence[SpendHour], money: Money, unknown: float) -> list[Column]:
    """Return the hours of the last week, without an amount before the first record and where no cost is known."""
    amounts: dict[datetime, int] = defaultdict(int)
    for each in hours:
        amounts[each.hour] += each.cost_nano_usd
    newest = money.read_at.replace(minute=0, second=0, microsecond=0)
    found = []
    for number in range(7 * 24 - 1, -1, -1):
        hour = newest - number * HOUR
        nano = amounts.get(hour, 0)
        missing = money.first_hour is None or hour < money.first_hour or (unknown > 0 and hour in amounts and not nano)
        found.append(Column(hour, None if missing else nano / NANO, running=not number))
    return found


def by_day(hours: Sequence[SpendHour], now: datetime, zone: tzinfo, unknown: float) -> list[Column]:
    """Return the last 30 days of the zone's calendar. An hour counts for the day in which it begins."""
    amounts: dict[date, int] = defaultdict(int)
    for each in hours:
        amounts[each.hour.astimezone(zone).date()] += each.cost_nano_usd
    first = min((each.hour.astimezone(zone).date() for each in hours), default=None)
    today = now.astimezone(zone).date()
    found = []
    for number in range(29, -1, -1):
        day = today - timedelta(days=number)
        nano = amounts.get(day, 0)
        missing = first is None or day < first or (unknown > 0 and day in amounts and not nano)
        start = datetime.combine(day, time(), zone)
        found.append(Column(start, None if missing else nano / NANO, running=not number))
    return found


def covered_days(money: Money, length: timedelta) -> float:
    """Return the days of a time that have records, and 1 at least: a new fleet's first hour is not taken for a day's pace."""
    begins = money.read_at - length if money.first_hour is None else max(money.first_hour, money.read_at - length)
    return max(1.0, (money.read_at - begins) / DAY)
