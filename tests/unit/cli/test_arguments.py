"""Times and lengths of time as a person types them."""

from datetime import UTC, datetime, timedelta

import pytest

from centralcloud.cli.arguments import parse_moment
from centralcloud.contracts import SettingsError
from centralcloud.runtime.commands.arguments import parse_age


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("1w", timedelta(weeks=1)),
        ("0d", timedelta()),
    ],
)
def test_an_age_is_a_number_and_a_unit(text: str, expected: timedelta) -> None:
    assert parse_age(text, "--older-than") == expected


@pytest.mark.parametrize("text", ["", "h", "2", "2 h", "-2h", "2.5h", "2y", "9999999d", "²h"])
def test_a_text_that_is_not_an_age_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^--older-than: found .* expected a length of time like 90s"):
        parse_age(text, "--older-than")


def test_a_moment_is_a_time_or_an_age() -> None:
    assert parse_moment("2026-11-20T14:00:00+00:00", "--since") == datetime(2026, 11, 20, 14, tzinfo=UTC)
    assert parse_moment("2026-11-20", "--since") == datetime(2026, 11, 20).astimezone()
    assert abs(parse_moment("2h", "--since") - (datetime.now(UTC) - timedelta(hours=2))) < timedelta(minutes=1)


@pytest.mark.parametrize("text", ["yesterday", "14:00", "2026-13-01"])
def test_a_text_that_is_not_a_moment_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^--since: found .* expected a time like"):
        parse_moment(text, "--since")
