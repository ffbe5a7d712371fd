"""Calendar schedules in crontab form: minute, hour, day of month, month, day of week, in UTC."""

import re
from typing import Final

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger

_FORM: Final = "a crontab schedule in UTC such as '30 2 * * 1-5' (minute, hour, day of month, month, day of week)"
#: In the order of crontab, where 0 and 7 are Sunday. APScheduler counts from Monday, but knows the names.
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKDAYS: Final = re.compile(r"(?P<first>[0-7]|[a-z]{3}|\*)(-(?P<last>[0-7]|[a-z]{3}))?(/(?P<step>[1-9]))?")


def parse_crontab(text: str) -> BaseTrigger:
    """Read a crontab schedule, with crontab's meaning of weekday numbers and of a day that is given in both fields.

    Raises:
        ValueError: the text has another form; the message says what was expected.
    """
    fields = text.lower().split()
    try:
        minute, hour, day, month, weekday = fields
        weekday = _named(weekday)
        both = [(day, "*"), ("*", weekday)] if "*" not in (day, weekday) else [(day, weekday)]
        triggers = [
            CronTrigger(minute=minute, hour=hour, day=of_month, month=month, day_of_week=of_week, timezone="UTC")
            for of_month, of_week in both
        ]
    except ValueError:
        raise ValueError(f"expected {_FORM}") from None
    return triggers[0] if len(triggers) == 1 else OrTrigger(triggers)


def _named(weekdays: str) -> str:
    """Return the field with names instead of numbers.

    Raises:
        ValueError: it is not a field of weekdays.
    """
    if weekdays == "*":
        return weekdays
    named: set[str] = set()
    for part in weekdays.split(","):
        match = _WEEKDAYS.fullmatch(part)
        if match is None:
            raise ValueError(part)
        if match["first"] == "*":
            first, last = 0, 6
        else:
            first = _number(match["first"])
            last = _number(match["last"]) if match["last"] else first
            last = 7 if last == 0 and first > 0 else last  # sat-sun
        if first > last:
            raise ValueError(part)
        named.update(_DAYS[first : last + 1 : int(match["step"] or 1)])
    return ",".join(sorted(named))


def _number(day: str) -> int:
    return int(day) if day.isdigit() else _DAYS.index(day)
