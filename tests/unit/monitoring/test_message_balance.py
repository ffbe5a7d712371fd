"""Ids that were drawn and are nowhere, over an hour: a finding above 1%, none for a send in progress."""

import pytest

from centralcloud.monitoring.message_balance import Sample, unaccounted_findings


def at(minute: int, drawn: int, lost: int, *, sending: int = 0) -> Sample:
    """Return a sample after `drawn` messages, of which `lost` are nowhere; the ids of `sending` more are drawn."""
    return Sample(60.0 * minute, drawn + sending, drawn - lost, drawn + sending)


@pytest.mark.parametrize(
    ("samples", "unaccounted"),
    [
        ([at(0, 1000, 0)], None),
        ([at(0, 1000, 0), at(1, 2000, 150), at(2, 2000, 150)], None),
        ([at(0, 1000, 0), at(1, 2000, 150), at(2, 2000, 150), at(3, 2000, 150)], 150),
        ([at(0, 1000, 500), at(1, 2000, 500), at(2, 3000, 500), at(3, 4000, 500)], None),  # lost earlier
        ([at(0, 1000, 0), at(1, 2000, 0), at(2, 3000, 0, sending=900), at(3, 4000, 0, sending=900)], None),
        ([at(0, 0, 0, sending=900), at(1, 900, 30), at(2, 900, 30), at(3, 900, 30)], None),  # nothing drawn since
        ([at(0, 0, 0), at(1, 100, 20), at(2, 100, 20), at(3, 100, 20)], None),  # as few as a rolled-back send
        ([at(0, 0, 0), at(1, 3000, 30), at(2, 3000, 30), at(3, 3000, 30)], None),  # exactly 1%
        ([at(0, 0, 0), at(1, 3000, 31), at(2, 3000, 31), at(3, 3000, 31)], 31),
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
