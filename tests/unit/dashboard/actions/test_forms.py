"""Values of forms: what is taken, and the one line for what is not."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from centralcloud.dashboard.actions.forms import (
    InvalidFormError,
    Problems,
    read_end,
    read_reason,
    read_score,
    read_version,
)

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "score"),
    [("0", "0"), ("5", "5"), (" 2.5 ", "2.5"), ("1.125", "1.125"), ("-0", "0"), ("5.000", "5"), ("1e0", "1")],
)
def test_a_score_is_a_number_from_0_to_5(text: str, score: str) -> None:
    found = read_score(text)
    assert found == Decimal(score)
    assert str(found) == f"{Decimal(score):.3f}", "as the column has it, and never a negative zero"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "5.1",
        "-0.001",
        "1.0001",
        "NaN",
        "sNaN",
        "inf",
        "1e999999999",
        "1e-999999999",
        "٣",
        "9" * 5000,
        "2,5",
        "1 2",
    ],
)
def test_another_score_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"0 to 5|2\.5") as caught:
        read_score(text)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


def test_an_end_is_a_time_of_the_viewers_zone_or_some_hours_from_now() -> None:
    assert read_end("", "24", BERLIN, NOW) == NOW + timedelta(hours=24)
    assert read_end("", "", BERLIN, NOW) is None
    assert read_end("2026-03-28T15:30", "24", BERLIN, NOW) == datetime(2026, 3, 28, 14, 30, tzinfo=UTC)
    assert read_end("2026-03-29T15:30", "", BERLIN, NOW) == datetime(2026, 3, 29, 13, 30, tzinfo=UTC), "in summer time"


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("2026-03-28T12:59", ""), ("yesterday", ""), ("2026-13-01T10:00", ""), ("2026-03-29", ""),
        ("9999-12-31T23:59+00:00", ""),
        ("", "0"), ("", "-1"), ("", "x"), ("", "9999999"),
    ],
)  # fmt: skip
def test_an_end_that_is_none_or_past_is_refused(text: str, hours: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_end(text, hours, BERLIN, NOW)


@pytest.mark.parametrize("reason", ["", " ", "x" * 1001, "a\nb", "a\u202eb", "a\0b", "\ud800"])
def test_a_reason_that_the_log_cannot_keep_is_refused(reason: str) -> None:
    with pytest.raises(ValueError, match=r"empty|expected"):
        read_reason({"reason": reason})


def test_each_field_has_its_first_problem() -> None:
    problems = Problems()
    assert problems.read("reason", lambda: read_reason({"reason": "why"})) == "why"
    problems.check()
    problems.read("reason", lambda: read_reason({}))
    problems.read("score", lambda: read_score("x"))
    with pytest.raises(InvalidFormError) as caught:
        problems.check()
    assert caught.value.problems.keys() == {"reason", "score"}


def test_a_version_that_a_form_does_not_have_is_that_of_no_score() -> None:
    assert [read_version(text) for text in ("0", "17", "", "x", "-1", "9" * 19, "١")] == [0, 17, -1, -1, -1, -1, -1]
