"""The minute to which a reading of the fleet belongs, and when its counts are not known."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from centralcloud.contracts import CentralCloudError
from centralcloud.monitoring.fleet_minutes import (
    Counted,
    FleetMinuteRecorder,
    FleetReading,
    NewestMinute,
    count_since,
    seconds_until_next,
)

NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)
LEDGER = {
    "records": 100, "counted": 90, "successes": 50, "failures": 20, "blameless": 3, "cost_nano_usd": Decimal(7_000),
}  # fmt: skip
LATER = {
    "records": 160, "counted": 150, "successes": 80, "failures": 25, "blameless": 4, "cost_nano_usd": Decimal(9_500),
}  # fmt: skip


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def newest(seconds: float, **changed: Any) -> NewestMinute:
    return NewestMinute(now=NOON, read_at=at(seconds), **(LEDGER | changed))


def reading(seconds: float, **changed: Any) -> FleetReading:
    state = dict.fromkeys(("queue_messages", "dead_letters", "instances", "instances_behind"), 0)
    return FleetReading(now=at(seconds), queue_oldest_seconds=None, **state, **(LATER | changed))


@pytest.mark.parametrize(
    ("before", "now", "minute"),
    [
        (0.1, 60.1, 0),  # the reading at the end of a minute
        (0.1, 30.0, 0),  # the first one after a restart
        (58.0, 63.0, 60),  # a frequent one, for the minute in which most of the time lies
        (56.0, 61.0, 0),
        (0.1, 69.9, 0),  # a late one
        (0.0, 90.0, 0),  # the longest span
        (30.0, 30.0, 0),
    ],
)
def test_a_reading_counts_for_the_minute_in_which_most_of_its_time_lies(
    before: float, now: float, minute: float
) -> None:
    assert count_since(newest(before), reading(now)) == Counted(
        at(minute), pytest.approx(now - before), 60, 30, 5, 1, 2500
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (newest(-31.0), reading(60.0)),  # no daemon ran
        (newest(-86_400.0), reading(60.0)),  # a restored database, or a clock that jumped ahead
        (newest(61.0), reading(60.0)),  # a clock that was set back
        (NewestMinute(NOON, *[None] * 7), reading(60.0)),  # the first reading ever
        (newest(0.0), reading(60.0, counted=149)),  # a worker of an older revision, which does not count outcomes
        (newest(0.0), reading(60.0, records=161)),  # a ledger that was repaired
        (newest(0.0), reading(60.0, successes=49)),
        (newest(0.0), reading(60.0, records=0, counted=0, successes=0, failures=0, blameless=0)),
    ],
)
def test_counts_that_are_not_known_are_not_zero(before: NewestMinute, after: FleetReading) -> None:
    assert count_since(before, after) == Counted(at(60), 0.0, None, None, None, None, None)


def test_counts_across_a_jump_of_the_clock_are_not_known() -> None:
    """The server's clock alone does not show it: it says that a minute has passed."""
    assert count_since(newest(0.0), reading(60.0), clock_jumped=True).ingested is None
    assert count_since(newest(0.0), reading(60.0)).ingested == 60


def test_a_minute_is_one_of_utc_whatever_the_zone_of_the_session() -> None:
    """Some zones once had offsets of seconds; the check of the table is in UTC."""
    from zoneinfo import ZoneInfo

    there = reading(60.0)._replace(now=at(60.0).astimezone(ZoneInfo("Asia/Kathmandu")))
    assert count_since(newest(0.0), there).minute == at(0)


def test_a_cost_beyond_a_bigint_counts_as_the_greatest_one() -> None:
    assert count_since(newest(0.0), reading(60.0, cost_nano_usd=Decimal(10) ** 30)).cost_nano_usd == 2**63 - 1


@pytest.mark.parametrize(
    ("now", "every", "expected"),
    [(0.0, 60.0, 60.0), (0.1, 60.0, 59.9), (30.0, 60.0, 30.0), (59.0, 60.0, 61.0), (58.0, 5.0, 2.0), (59.9, 5.0, 5.1)],
)
def test_the_next_reading_is_at_a_whole_multiple_of_the_interval(now: float, every: float, expected: float) -> None:
    assert seconds_until_next(at(now), every) == pytest.approx(expected)


@pytest.mark.parametrize("interval_seconds", [0.0, 61.0])
def test_a_row_a_minute_allows_no_longer_interval(interval_seconds: float) -> None:
    with pytest.raises(CentralCloudError, match=rf"interval_seconds: found {interval_seconds:g}, expected 0\.1 to 60"):
        FleetMinuteRecorder(None, interval_seconds=interval_seconds)  # type: ignore[arg-type]
