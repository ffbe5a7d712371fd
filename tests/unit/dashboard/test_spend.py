"""Spend over time: parts of hours, calendars with clock changes, comparisons."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from centralcloud.dashboard.sources.money import DAY, HOUR, Money, SpendHour, part_of_hour
from centralcloud.dashboard.spend import History, change_of, covered_days, days_of, hours_of, spent

NOW = datetime(2026, 11, 30, 12, 30, tzinfo=UTC)
NOON = NOW.replace(minute=0)


def hour(at: datetime, usd: float, complexity: str = "simple") -> SpendHour:
    return SpendHour(at, complexity, 10, 9, 1, round(usd * 1e9))


def history(*hours: SpendHour, first: datetime | None = None, now: datetime = NOW, unknown: bool = False) -> History:
    return History(hours, first or min(each.hour for each in hours), now, unknown)


@pytest.mark.parametrize(
    ("at", "since", "part"),
    [
        (NOON - HOUR, NOW - DAY, 1.0),
        (NOON - DAY, NOW - DAY, 0.5),
        (NOON - DAY - HOUR, NOW - DAY, 0.0),
        (NOON, NOW - DAY, 1.0),  # half an hour so far, and all of it counts
        (NOON, NOW - timedelta(minutes=15), 0.5),
    ],
)
def test_an_hour_counts_as_far_as_it_lies_in_the_time(at: datetime, since: datetime, part: float) -> None:
    assert part_of_hour(at, since, NOW, NOW) == part


def test_the_spend_of_a_day_has_half_of_its_first_hour_and_the_running_one_as_it_is() -> None:
    hours = [hour(NOON - DAY, 4), hour(NOON - HOUR, 1), hour(NOON, 0.5), hour(NOON - 2 * DAY, 100)]
    assert spent(hours, NOW - DAY, NOW, NOW) == 3_500_000_000


def test_the_change_compares_with_the_whole_time_before_or_not_at_all() -> None:
    hours = [hour(NOON - HOUR, 3), hour(NOON - DAY - HOUR, 2)]
    money = Money(NOW, NOW - timedelta(days=3), tuple(hours), ())
    assert change_of(money, hours, DAY) == pytest.approx(0.5)
    assert change_of(money._replace(first_hour=NOON - DAY - HOUR), hours, DAY) is None
    assert change_of(money, hours[:1], DAY) is None


def test_hours_before_the_first_record_are_unknown_and_quiet_hours_are_zero() -> None:
    drawn = hours_of(history(hour(NOON - 3 * HOUR, 1), hour(NOON, 2)), NOON - 4 * HOUR, NOON + HOUR)
    assert [each.value for each in drawn] == [None, 1.0, 0.0, 0.0, 2.0]
    assert [each.running for each in drawn] == [False] * 4 + [True]


def test_an_hour_without_any_known_cost_is_not_zero() -> None:
    hours = (hour(NOON - HOUR, 0), hour(NOON, 2))
    assert [each.value for each in hours_of(history(*hours, unknown=True), NOON - HOUR, NOON + HOUR)] == [None, 2.0]
    assert [each.value for each in hours_of(history(*hours), NOON - HOUR, NOON + HOUR)] == [0.0, 2.0]


@pytest.mark.parametrize(
    ("zone", "first_day", "lengths"),
    [
        ("Europe/Berlin", datetime(2026, 10, 23, 22, tzinfo=UTC), [24, 25, 24]),
        ("Europe/Berlin", datetime(2026, 3, 27, 23, tzinfo=UTC), [24, 23, 24]),
        ("America/New_York", datetime(2026, 10, 31, 4, tzinfo=UTC), [24, 25, 24]),
        ("UTC", datetime(2026, 10, 24, tzinfo=UTC), [24, 24, 24]),
    ],
)
def test_days_are_those_of_the_zone_also_when_clocks_change(zone: str, first_day: datetime, lengths: list[int]) -> None:
    end = first_day + sum(lengths) * HOUR
    hours = [hour(first_day + number * HOUR, 1) for number in range(sum(lengths))]
    drawn = days_of(history(*hours, now=end + DAY), first_day, end, ZoneInfo(zone))
    assert [each.value for each in drawn] == lengths
    assert [each.start.hour for each in drawn] == [0, 0, 0]
    assert sum(each.value or 0 for each in drawn) == len(hours)
    by_hour = hours_of(history(*hours, now=end + DAY), first_day, end)
    assert [each.value for each in by_hour] == [1.0] * len(hours)


def test_a_day_of_a_zone_with_half_hours_has_the_hours_that_begin_in_it() -> None:
    zone = ZoneInfo("Asia/Kolkata")
    hours = [hour(datetime(2026, 11, 28, at, tzinfo=UTC), 1) for at in (17, 18, 19)]  # 22:30, 23:30 and 00:30 there
    drawn = days_of(history(*hours), hours[0].hour, hours[2].hour + HOUR, zone)
    assert [(each.start.day, each.value) for each in drawn] == [(28, 2.0), (29, 1.0)]


def test_the_first_hours_of_a_fleet_are_not_taken_for_the_pace_of_a_day() -> None:
    assert covered_days(Money(NOW, NOW - HOUR, (), ()), DAY) == 1
    assert covered_days(Money(NOW, NOW - 3 * DAY, (), ()), 7 * DAY) == pytest.approx(3)
