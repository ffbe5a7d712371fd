"""Axes and words: round ticks, short numbers, labels apart, text cut to its room."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centralcloud.dashboard.charts import numbers, ticks, words
from centralcloud.dashboard.charts.drawing import Path, number
from centralcloud.dashboard.charts.labels import spread
from centralcloud.dashboard.charts.scale import Linear, amount_scale

amounts = st.floats(1e-9, 1e12)


@pytest.mark.parametrize(
    ("high", "expected"),
    [
        (10.2, ["$0", "$4", "$8", "$12"]),
        (12.0, ["$0", "$4", "$8", "$12"]),
        (0.022, ["0¢", "0.5¢", "1.0¢", "1.5¢", "2.0¢", "2.5¢"]),
        (4e-7, ["$0", "$0.0000001", "$0.0000002", "$0.0000003", "$0.0000004"]),
        (12_345_678, ["$0", "$2.5M", "$5.0M", "$7.5M", "$10.0M", "$12.5M"]),
        (98_000, ["$0", "$25k", "$50k", "$75k", "$100k"]),
        (1.0, ["$0", "$0.25", "$0.50", "$0.75", "$1.00"]),
    ],
)
def test_amounts_have_round_ticks_from_zero(high: float, expected: list[str]) -> None:
    assert numbers.axis(ticks.amount_ticks(high), "usd") == expected


@given(amounts)
def test_the_last_tick_of_an_amount_is_the_first_that_covers_it(high: float) -> None:
    found = ticks.amount_ticks(high)
    assert found[0] == 0
    assert found[-2] < high <= found[-1] * (1 + 1e-8)
    assert found[-1] <= high * 1.34
    assert 3 <= len(found) <= 6
    assert len(set(numbers.axis(found, "usd"))) == len(found)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([0.44, 0.98], ["40%", "60%", "80%", "100%"]),
        ([0.0], ["0%", "25%", "50%", "75%", "100%"]),
        ([], ["0%", "25%", "50%", "75%", "100%"]),
        ([0.93], ["92%", "94%", "96%", "98%", "100%"]),
        ([0.996], ["98.0%", "98.5%", "99.0%", "99.5%", "100.0%"]),
        ([1.0], ["98.0%", "98.5%", "99.0%", "99.5%", "100.0%"]),
    ],
)
def test_rates_have_ticks_that_end_at_all(rates: list[float], expected: list[str]) -> None:
    assert numbers.axis(ticks.rate_ticks(rates), "percent") == expected


@pytest.mark.parametrize(
    ("hours", "most", "expected"),
    [
        (30, 7, ["30 h ago", "25 h ago", "20 h ago", "15 h ago", "10 h ago", "5 h ago", "now"]),
        (30, 4, ["30 h ago", "20 h ago", "10 h ago", "now"]),
        (12, 4, ["10 h ago", "5 h ago", "now"]),
        (1, 7, ["60 min ago", "50 min ago", "40 min ago", "30 min ago", "20 min ago", "10 min ago", "now"]),
        (24 * 7, 7, ["6 d ago", "4 d ago", "2 d ago", "now"]),
        (0, 7, ["now"]),
    ],
)
def test_ages_have_round_ticks(hours: float, most: int, expected: list[str]) -> None:
    assert [text for _, text in ticks.age_ticks(hours * 3600, most)] == expected


@given(st.floats(1, 1e10), st.integers(2, 12))
def test_ages_are_no_more_than_fit(seconds: float, most: int) -> None:
    found = ticks.age_ticks(seconds, most)
    assert 1 <= len(found) <= most
    assert all(0 <= age <= seconds * 1.001 for age, _ in found)


def test_days_are_those_of_the_zone_also_where_the_clock_is_put_back() -> None:
    zone = ZoneInfo("Europe/Zurich")
    start = datetime(2026, 10, 23, 22, tzinfo=UTC)  # midnight of the 24th; the 25th has 25 hours
    found = ticks.days(start, start + timedelta(hours=73), zone)
    assert [first.astimezone(zone).isoformat() for first, _ in found] == [
        "2026-10-24T00:00:00+02:00", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00",
    ]  # fmt: skip
    assert [last.timestamp() - first.timestamp() for first, last in found] == [24 * 3600, 25 * 3600, 24 * 3600]


def test_hours_are_those_of_a_wall_clock_that_is_not_on_the_hour() -> None:
    zone = ZoneInfo("Asia/Kathmandu")  # 5:45 ahead
    start = datetime(2026, 11, 30, tzinfo=UTC)
    found = ticks.hours(start, start + timedelta(hours=12), zone, 4)
    assert [f"{hour:%H:%M}" for hour in found] == ["06:00", "09:00", "12:00", "15:00"]


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (0, "$0"), (1.234, "$1.23"), (12_345_678, "$12,345,678"), (0.45, "$0.45"), (0.004, "0.4¢"), (0.00045, "0.045¢"),
        (4e-7, "$0.0000004"), (-2, "−$2.00"), (1e300, "$1.0e+300"), (None, "–"), (float("nan"), "–"), (float("inf"), "–"),
    ],
)  # fmt: skip
def test_dollars_are_short(amount: float | None, expected: str) -> None:
    assert numbers.usd(amount) == expected


@pytest.mark.parametrize(
    ("share", "digits", "expected"),
    [(0.9824, 1, "98.2%"), (0.0004, 1, "<0.1%"), (0.004, 0, "<1%"), (0.0, 1, "0.0%"), (1, 0, "100%"), (None, 1, "–")],
)
def test_a_small_share_is_not_nothing(share: float | None, digits: int, expected: str) -> None:
    assert numbers.percent(share, digits) == expected


@given(st.text(max_size=80), st.floats(20, 300))
def test_a_cut_text_has_room_and_keeps_its_beginning(text: str, room: float) -> None:
    shown = words.cut(text, room, 12)
    assert words.width(shown, 12) <= room
    assert shown == words.visible(text) or words.visible(text).startswith(shown.removesuffix("…"))


@given(st.lists(st.floats(0, 100), max_size=30).map(sorted), st.floats(0, 20))
def test_labels_are_spread_in_their_order_and_within_the_stretch(wanted: list[float], gap: float) -> None:
    places = spread(wanted, gap, 0, 100)
    assert len(places) == len(wanted)
    assert all(-1e-6 <= place <= 100 + 1e-6 for place in places)
    least = min(gap, 100 / max(1, len(wanted) - 1))
    assert all(later - place >= least - 1e-6 for place, later in pairwise(places))


def test_labels_that_do_not_collide_stay() -> None:
    assert spread([10, 50, 90], 20, 0, 100) == [10, 50, 90]


@given(st.lists(amounts, min_size=1), amounts, amounts)
def test_scales_are_monotone_and_stay_within_their_ends(known: list[float], one: float, other: float) -> None:
    for scale in (amount_scale(known, max(known), 10, 300), Linear(0, max(known), 10, 300)):
        low, high = sorted((one, other))
        assert 10 <= scale(low) <= scale(high) <= 300 + 1e-9


def test_costs_of_different_magnitude_have_a_scale_by_magnitude() -> None:
    scale = amount_scale([4e-7, 0.01, 12], 15, 0, 100)
    assert [round(scale(cost)) for cost in (4e-7, 0.01, 12)] == [7, 56, 90]


@pytest.mark.parametrize(
    ("value", "expected"), [(0.04, "0"), (-0.04, "0"), (0.5, ".5"), (-3.25, "-3.2"), (12.0, "12"), (99.96, "100")]
)
def test_coordinates_are_compact(value: float, expected: str) -> None:
    assert number(value) == expected


def test_paths_are_relative_and_drop_points_that_do_not_move() -> None:
    path = Path().move(1, 2).line(3, 2).line(3, 2).line(3, 5.5).line(4, 4.5).line(5, 3).close()
    assert str(path) == "M1 2h2v3.5l1-1 1-1.5z"
