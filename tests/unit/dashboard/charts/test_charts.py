"""Each chart shows what its data say."""

import gzip
import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.drawings import check, drawing, head, keys, of_class, parse, points, rows, texts, titles
from support.repository import REPOSITORY

from centralcloud.dashboard import charts
from centralcloud.dashboard.charts import CostPoint, frontier_of

NOW = datetime(2026, 11, 30, 2, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
ZURICH = ZoneInfo("Europe/Zurich")


def test_an_estimate_of_few_outcomes_has_a_hollow_dot_and_the_leader_the_accent() -> None:
    found = [charts.Interval("a", 0.9, 0.8, 0.95, 149), charts.Interval("b", 0.98, 0.97, 0.99, 150, leads=True)]
    wide = drawing(charts.intervals([charts.Panel("complex", found)], label="b leads", few=150), "wide")
    assert [dot.get("class") for dot in of_class(wide, "circle", "dot")] == ["dot lead", "dot few"]
    assert titles(wide)[0] == "b: 98.0%, between 97.0% and 99.0%, 150 outcomes"
    assert texts(wide)[-4:] == ["b", "98.0%", "a", "90.0%"]


def test_a_difference_is_drawn_against_zero_and_an_end_that_is_not_known_has_an_arrow() -> None:
    found = [
        charts.Difference("a", 0.01, 0.03, "better"),
        charts.Difference("b", None, 0.02),
        charts.Difference("c", None, None),
    ]
    markup = charts.differences([charts.Measure("Points", found, limit=-0.02)], label="a is better")
    wide = drawing(markup, "wide")
    assert [text for text in texts(wide) if text[:1] in "+−0"] == ["−2", "0", "+2", "+4", "+1 to +3"]
    assert len(of_class(wide, "path", "zero")) == len(of_class(wide, "path", "limit")) == 1
    assert [each.get("class") for each in of_class(wide, "path", "range")] == ["range better", "range open"]
    ends = [len(points(each.get("d") or "")) for each in of_class(wide, "path", "end")]
    assert ends == [2, 2, 3, 2], "an arrow has three points"
    assert rows(markup) == [["Points", "a", "+1", "+3"], ["Points", "b", "–", "+2"], ["Points", "c", "–", "–"]]
    assert "at most +2" in texts(wide)
    assert "not known yet" in texts(wide)


def test_panels_share_one_axis() -> None:
    panels = [
        charts.Panel(name, [charts.Interval("m", low + 0.02, low, low + 0.03, 200)])
        for name, low in (("a", 0.9), ("b", 0.3))
    ]
    wide = drawing(charts.intervals(panels, label="x"), "wide")
    ticks = [text for text in texts(wide) if text in {"20%", "40%", "60%", "80%", "100%"}]
    assert ticks == ["20%", "40%", "60%", "80%", "100%"] * 2


def test_more_models_than_a_panel_has_rows_are_counted_and_in_the_table() -> None:
    found = [charts.Interval(f"m{index:03}", 0.5, 0.4, 0.6, 200) for index in range(100)]
    markup = charts.intervals([charts.Panel("simple", found)], label="x")
    check(markup)
    assert "and 60 more in the table" in texts(drawing(markup, "wide"))
    assert len(rows(markup)) == 100


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "//evil.example", "/\\evil.example", "https://evil.example", ""]
)
def test_only_paths_of_this_site_are_links(url: str) -> None:
    markup = charts.intervals([charts.Panel("x", [charts.Interval("m", 0.5, 0.4, 0.6, 9, url=url)])], label="x")
    assert not list(parse(markup).iter("a"))
    assert next(parse(markup).iter("div")).get("role") == "img"


def test_a_drawing_with_links_is_a_group_that_a_keyboard_can_enter() -> None:
    found = charts.Interval("m", 0.5, 0.4, 0.6, 9, url="/pair?model=m&complexity=simple")
    root = parse(charts.intervals([charts.Panel("x", [found])], label="m leads"))
    assert next((div.get("role"), div.get("aria-label")) for div in root.iter("div")) == ("group", "m leads")
    assert [link.get("href") for link in root.iter("a")] == ["/pair?model=m&complexity=simple"] * 2


def test_a_short_fall_among_a_thousand_scores_is_still_seen() -> None:
    steps = [
        charts.Step(NOW - (1000 - index) * timedelta(minutes=1), 0.5 if index == 500 else 4.8) for index in range(1000)
    ]
    markup = charts.score_steps(steps, [], start=NOW - 1000 * timedelta(minutes=1), end=NOW, label="x")
    assert [row[1] for row in rows(markup) if row[1] != "4.80"] == ["0.50"]
    (line,) = of_class(drawing(markup, "narrow"), "path", "line")
    assert len({y for _, y in points(line.get("d", ""))}) == 2
    assert len(gzip.compress(markup.encode())) < 4000


def test_a_gap_in_the_scores_is_a_gap_in_the_line() -> None:
    steps = [charts.Step(NOW - 3 * HOUR, 4.0), charts.Step(NOW - 2 * HOUR, None), charts.Step(NOW - HOUR, 4.0)]
    markup = charts.score_steps(steps, [], start=NOW - 3 * HOUR, end=NOW, label="x")
    (line,) = of_class(drawing(markup, "wide"), "path", "line")
    assert line.get("d", "").count("M") == 2
    assert [row[1] for row in rows(markup)] == ["4.00", "–", "4.00"]


def test_the_score_that_stood_before_the_stretch_stands_at_its_start() -> None:
    steps = [charts.Step(NOW - 90 * HOUR, 3.0), charts.Step(NOW - 40 * HOUR, 4.0), charts.Step(NOW - 10 * HOUR, 2.0)]
    markup = charts.score_steps(steps, [], start=NOW - 30 * HOUR, end=NOW, label="x", zone=ZURICH)
    assert [row[:2] for row in rows(markup)] == [["28 Nov 21:20", "4.00"], ["29 Nov 17:20", "2.00"]]


def test_events_at_one_moment_stand_side_by_side() -> None:
    marks = [charts.Mark(NOW - HOUR, number, "alarm", "fell") for number in range(1, 6)]
    markup = charts.score_steps([charts.Step(NOW - 2 * HOUR, 4.0)], marks, start=NOW - 2 * HOUR, end=NOW, label="x")
    check(markup)
    places = [float(badge.get("cx", "")) for badge in of_class(drawing(markup, "narrow"), "circle", "badge")]
    assert len({round(place) for place in places}) == 5
    assert rows(markup, 1)[0] == ["1", "30 Nov 01:20", "Sudden change", "fell"]


def traffic(count: int, models: int) -> tuple[list[datetime], dict[str, list[float]]]:
    moments = [NOW - (count - index) * HOUR for index in range(count)]
    return moments, {f"m{model}": [float(model + 1)] * count for model in range(models)}


def test_models_beyond_six_are_one_area() -> None:
    moments, shares = traffic(10, 100)
    markup = charts.traffic_share(moments, shares, leader="m99", end=NOW, label="x")
    check(markup)
    assert head(markup) == ["From", "m99", "m98", "m97", "m96", "m95", "95 others"]


def test_a_name_stands_in_an_area_only_where_it_fits() -> None:
    moments, _ = traffic(30, 0)
    shares = {"large-one": [0.9] * 30, "small-one": [0.1] * 30}
    wide = drawing(charts.traffic_share(moments, shares, leader="large-one", end=NOW, label="x"), "wide")
    assert [(text.text, text.get("class")) for text in of_class(wide, "text", "in")] == [("large-one", "m in w")]


def test_the_list_of_shares_is_sorted_by_the_newest() -> None:
    moments, _ = traffic(3, 0)
    shares = {"a": [0.9, 0.9, 0.2], "b": [0.1, 0.1, 0.795], "c": [0.0, 0.0, 0.005]}
    wide = drawing(charts.traffic_share(moments, shares, leader="a", end=NOW, label="x"), "wide")
    assert texts(wide)[-6:] == ["80%", "b", "20%", "a", "<1%", "c"]


def test_an_hour_without_traffic_is_a_gap() -> None:
    moments, _ = traffic(5, 0)
    markup = charts.traffic_share(moments, {"a": [1, 1, 0, float("nan"), 1]}, leader="a", end=NOW, label="x")
    (area,) = of_class(drawing(markup, "wide"), "path", "a0")
    assert area.get("d", "").count("M") == 2
    assert [row[1] for row in rows(markup)] == ["100.0%", "100.0%", "–", "–", "100.0%"]


def test_columns_of_a_thousand_hours_are_merged_and_add_up() -> None:
    found = [charts.Column(NOW - (1000 - index) * HOUR, 1.0, running=index == 999) for index in range(1000)]
    markup = charts.columns(found, unit="usd", zone=ZURICH, label="x")
    check(markup)
    amounts = [float(cell.removesuffix(" so far").removeprefix("$")) for _, cell in rows(markup)]
    assert len(amounts) == 334
    assert sum(amounts) == 1000
    assert rows(markup)[-1][1] == "$3.00 so far"
    assert len(gzip.compress(markup.encode())) < 10_000


def test_columns_begin_at_zero_and_the_running_one_has_the_accent() -> None:
    found = [charts.Column(NOW - 2 * HOUR, 100), charts.Column(NOW - HOUR, 50), charts.Column(NOW, 25, running=True)]
    wide = drawing(charts.columns(found, unit="count", zone=ZURICH, label="x"), "wide")
    bars = [path for path in wide.iter("path") if path.find("title") is not None]
    heights = [
        max(y for _, y in points(bar.get("d", ""))) - min(y for _, y in points(bar.get("d", ""))) for bar in bars
    ]
    assert heights == pytest.approx([150, 75, 37.5], abs=0.11)
    assert [bar.get("class") for bar in bars] == [None, None, "now"]
    assert titles(wide) == ["30 Nov 01:20 · 100", "30 Nov 02:20 · 50", "30 Nov 03:20 · 25 so far"]


def test_days_below_the_columns_are_those_of_the_viewer() -> None:
    found = [charts.Column(NOW - index * HOUR, 1.0) for index in range(24 * 7, -1, -1)]
    assert "Mon 30" not in texts(
        drawing(charts.columns(found, unit="usd", zone=ZoneInfo("America/Los_Angeles"), label="x"), "wide")
    )
    assert "Mon 30" in texts(
        drawing(charts.columns(found, unit="usd", zone=ZoneInfo("Pacific/Auckland"), label="x"), "wide")
    )


def test_the_frontier_is_what_no_other_model_beats() -> None:
    draw = random.Random(15)
    for _ in range(200):
        found = [
            CostPoint(f"m{index}", draw.randint(0, 5), draw.randint(0, 5) / 5, 0.1)
            for index in range(draw.randint(0, 12))
        ]
        beaten = {
            one.name
            for one in found
            for other in found
            if (cost := (other.cost_of_success_usd or 0) - (one.cost_of_success_usd or 0)) <= 0
            and (rate := (other.success_rate or 0) - (one.success_rate or 0)) >= 0
            and (cost, rate) != (0, 0)
        }
        assert frontier_of(found) == {point.name for point in found} - beaten


def test_a_model_without_a_cost_is_in_the_table_alone() -> None:
    found = [CostPoint("a", 0.01, 0.9, 0.5, leads=True, on_frontier=True), CostPoint("b", None, 0.9, 0.5)]
    markup = charts.frontier([charts.CostPanel("simple", found)], label="x")
    assert "b" not in texts(drawing(markup, "wide"))
    assert [row[1:] for row in rows(markup)] == [
        ["a (most tasks)", "yes", "1¢", "90.0%", "50.0%"],
        ["b", "no", "–", "90.0%", "50.0%"],
    ]


def test_names_of_models_on_one_spot_move_apart() -> None:
    found = [CostPoint(f"model-{index}", 0.01, 0.9, 0.0) for index in range(3)]
    found.append(CostPoint("other", 0.02, 0.5, 0.0))
    markup = charts.frontier([charts.CostPanel("simple", found)], label="x")
    check(markup)
    assert {f"model-{index}" for index in range(3)} <= set(texts(drawing(markup, "wide")))


@pytest.mark.parametrize("count", [6, 20, 100])
@pytest.mark.parametrize("spot", ["one", "few", "many"])
def test_every_dot_has_its_name_beside_it_or_a_number_with_the_name_below(count: int, spot: str) -> None:
    draw = random.Random(15)
    places = {"one": [(0.01, 0.9)], "few": [(0.01, 0.9), (0.0101, 0.899), (0.04, 0.5)]}.get(spot)
    costs = places or [(draw.uniform(0.001, 0.1), draw.uniform(0.85, 0.99)) for _ in range(count)]
    found = [
        CostPoint(f"vendor/model-with-a-long-name-{index}", *costs[index % len(costs)], 1 / count, leads=index == 0)
        for index in range(count)
    ]
    markup = charts.frontier([charts.CostPanel(name, found) for name in ("simple", "medium", "complex")], label="x")
    check(markup)
    for kind in ("wide", "narrow"):
        seen = texts(drawing(markup, kind))
        listed = keys(markup, kind)
        for point in found:
            assert seen.count(point.name) + list(listed.values()).count(point.name) == 3, (kind, point.name)
        ranges = [list(map(int, text.split("–"))) for text in seen if re.fullmatch(r"\d+(–\d+)?", text)]
        shown = {number for ends in ranges for number in range(ends[0], ends[-1] + 1)}
        assert shown == set(listed)


def test_a_name_too_long_to_stand_beside_its_dot_stands_whole_below_the_chart() -> None:
    name = "anthropic/" + "very-" * 20 + "long"
    markup = charts.frontier([charts.CostPanel("simple", [CostPoint(name, 0.01, 0.9, 1.0, leads=True)])], label="x")
    check(markup)
    assert keys(markup, "wide") == keys(markup, "narrow") == {1: name}
    assert "1" in texts(drawing(markup, "wide"))


@pytest.mark.parametrize(("hours", "words"), [(24, "24 hours"), (30, "30 hours"), (168, "7 days")])
def test_an_empty_timeline_names_its_stretch_as_people_do(hours: int, words: str) -> None:
    wide = drawing(charts.timeline([], start=NOW - hours * HOUR, end=NOW, label="x"), "wide")
    assert texts(wide) == [f"no incidents in the last {words}"]


def test_the_narrow_timeline_has_the_last_twelve_hours() -> None:
    lanes = [
        charts.Lane("old", [charts.Bar(NOW - 20 * HOUR, NOW - 19 * HOUR, "good", "Closed long ago")]),
        charts.Lane("new", [charts.Bar(NOW - 20 * HOUR, None, "bad", "Low success rate")]),
    ]
    markup = charts.timeline(lanes, start=NOW - 30 * HOUR, end=NOW, label="x")
    assert len(of_class(drawing(markup, "wide"), "rect", "bar")) == 2
    assert len(of_class(drawing(markup, "narrow"), "rect", "bar")) == 1
    assert texts(drawing(markup, "narrow"))[:2] == ["new", "▲ Low success rate"]
    assert rows(markup)[1] == ["new", "▲ Low success rate", "29 Nov 06:20", "still open"]


def test_a_timeline_is_in_the_viewers_zone_in_its_titles_and_its_table() -> None:
    lanes = [charts.Lane("m", [charts.Bar(NOW - 2 * HOUR, NOW - HOUR, "good", "Slow")])]
    markup = charts.timeline(lanes, start=NOW - 30 * HOUR, end=NOW, label="x", zone=ZURICH)
    assert rows(markup)[0][2:] == ["30 Nov 01:20", "30 Nov 02:20"]
    assert titles(drawing(markup, "wide")) == ["m: Slow, 30 Nov 01:20 to 30 Nov 02:20"]


def test_incidents_of_one_subject_that_overlap_stand_below_one_another() -> None:
    bars = [
        charts.Bar(NOW - 5 * HOUR, NOW - 2 * HOUR, "look", "a"),
        charts.Bar(NOW - 4 * HOUR, NOW - HOUR, "look", "b"),
    ]
    wide = drawing(charts.timeline([charts.Lane("x", bars)], start=NOW - 30 * HOUR, end=NOW, label="x"), "wide")
    first, second = (float(bar.get("y", "")) for bar in of_class(wide, "rect", "bar"))
    assert second >= first + 20


def test_parts_begin_where_the_part_before_ended() -> None:
    found = [charts.Part("Success", 4.0), charts.Part("Latency", -1.0)]
    wide = drawing(charts.parts(found, total=3.0, label="x"), "wide")
    (plus,), (minus,), (total,) = (of_class(wide, "rect", kind) for kind in ("plus", "minus", "total"))
    ends = [float(bar.get("x", "")) + float(bar.get("width", "")) for bar in (plus, minus, total)]
    assert ends[0] == ends[1]
    assert ends[2] == float(minus.get("x", ""))
    assert [text for text in texts(wide) if text[0] in "+−"] == ["+4.00", "−1.00"]


@pytest.mark.parametrize(
    "markup",
    [
        charts.intervals([], label="x"),
        charts.columns([], unit="usd", zone=ZURICH, label="x"),
        charts.traffic_share([], {}, leader="", end=NOW, label="x"),
        charts.score_steps([], [], start=NOW - HOUR, end=NOW, label="x"),
        charts.frontier([], label="x"),
        charts.timeline([], start=NOW - HOUR, end=NOW, label="x"),
        charts.parts([], total=None, label="x"),
    ],
)
def test_no_data_is_said_in_words_and_has_no_table(markup: str) -> None:
    check(markup)
    assert any(text.startswith(("no ", "nothing ")) for text in texts(drawing(markup, "narrow")))
    assert not list(parse(markup).iter("details"))


def test_every_class_of_a_drawing_is_in_the_style_sheet_and_no_color_is_anywhere_else() -> None:
    css = (REPOSITORY / "centralcloud/dashboard/static/charts.css").read_text()
    golden = Path(__file__).parent / "golden"
    used = {
        kind
        for file in golden.glob("*.svg.html")
        for classes in re.findall(r'class="([^"]+)"', file.read_text())
        for kind in classes.split()
    }
    assert used
    defined = set(re.findall(r"\.([a-z][a-z0-9-]*)", css))
    assert used <= defined
    assert not re.search(r"#(?!fff;)[0-9a-f]{3}", css)


def test_the_reason_of_a_part_is_not_cut_on_a_wide_page() -> None:
    text = "over 99.9% of 1,234,567 outcomes, between over 99.9% and over 99.9%"
    wide = drawing(charts.parts([charts.Part("Success", 4.9, text)], total=4.9, label="x"), "wide")
    assert text in "".join(wide.itertext())
