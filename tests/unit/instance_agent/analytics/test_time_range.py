"""Time ranges: a number and a unit, widened to whole quarter-hours."""

from datetime import UTC, datetime, timedelta

import pytest

from centralcloud.contracts.errors import ContractError
from instance_agent.analytics.time_range import parse_time_range, window_of


def test_a_time_range_is_a_number_and_a_unit() -> None:
    assert parse_time_range("24h") == timedelta(days=1)
    assert parse_time_range("7d") == parse_time_range("1w") == timedelta(days=7)
    assert parse_time_range("90m") == timedelta(minutes=90)
    for text in ("", "7", "d", "0d", "-1d", "1.5h", "401d", "999999w", "7 d", "1y", "٣d"):
        with pytest.raises(ContractError, match="timeRange: found"):
            parse_time_range(text)


def test_a_range_begins_and_ends_at_quarter_hours() -> None:
    since, until = window_of(timedelta(hours=1), datetime(2026, 3, 1, 10, 7, 30, tzinfo=UTC))
    assert (since, until) == (datetime(2026, 3, 1, 9, 0, tzinfo=UTC), datetime(2026, 3, 1, 10, 15, tzinfo=UTC))
