"""Ids that were drawn and are nowhere, over an hour: a finding above 1%, none for a send in progress."""

from datetime import UTC, datetime, timedelta

import pytest

from centralcloud.monitoring.message_balance import Sample, unaccounted_findings


def at(minute: int, drawn: int, lost: int, *, sending: int = 0, restarts: int = 0) -> Sample:
    """Return a sample after `drawn` messages, of which `lost` are nowhere; the ids of `sending` more are drawn."""
    server_started = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=restarts)
    return Sample(60.0 * minute, drawn + sending, drawn - lost, drawn + sending, server_started)


@pytest.mark.parametrize(
    ("samples", "unaccounted"),
    [
        ([at(0, 1000, 0)], None),
        ([at(0, 1000, 0), at(1, 2000, 150), at(2, 2000, 150)], None),
        ([at(0, 1000, 0), at(1, 2000, 150), at(2, 2000, 150), at(3, 2000, 150)], 150),
        ([at(0, 1000, 500), at(1, 2000, 500), at(2, 3000, 500), at(3, 4000, 500)], None),  # lost earlier
        ([at(0, 1000, 0), at(1, 2000, 0), at(2, 3000, 0, sending=900), at(3, 4000, 0, sending=900)], None),
        ([at(0, 0, 0, sending=900), at(1, 900, 30), at(2, 900, 30), at(3, 900, 30)], None),  # nothing drawn since
        (
            [at(0, 0, 0), at(1, 100, 40), at(2, 100, 40), at(3, 100, 40)],
            None,
        ),  # as few as a crash and a rolled-back send
        ([at(0, 0, 0), at(1, 100, 41), at(2, 100, 41), at(3, 100, 41)], 41),
        (
            [at(0, 0, 0), *(at(minute, 200, 73, restarts=1) for minute in (1, 2, 3))],
            None,
        ),  # 33 for a start of the server
        ([at(0, 0, 0), *(at(minute, 200, 74, restarts=1) for minute in (1, 2, 3))], 74),
        ([at(0, 0, 0), *(at(minute, 200, 106, restarts=minute) for minute in (1, 2, 2, 2))], None),
        ([at(0, 0, 0), *(at(minute, 200, 107, restarts=minute) for minute in (1, 2, 2, 2))], 107),
        ([at(0, 0, 0), at(1, 5000, 50), at(2, 5000, 50), at(3, 5000, 50)], None),  # exactly 1%
        (
            [at(0, 100, -500), at(1, 1100, 0), at(2, 1100, 0), at(3, 1100, 0)],
            None,
        ),  # the sequence was behind, and was raised
        ([at(0, 0, 0), at(1, 5000, 51), at(2, 5000, 51), at(3, 5000, 51)], 51),
    ],
)
def test_more_than_one_percent_is_a_finding(samples: list[Sample], unaccounted: int | None) -> None:
    found = unaccounted_findings(samples)
    assert [each.details["unaccounted"] for each in found] == ([] if unaccounted is None else [unaccounted])


def test_the_message_says_how_many_of_how_many() -> None:
    (found,) = unaccounted_findings([at(0, 1000, 0), at(1, 2000, 150), at(2, 2000, 150), at(3, 2000, 150)])
    assert found.message.startswith(
        "150 of 1,000 message ids drawn in the last 3 minutes are nowhere (15.0%): expected at most 1.0%."
    )
