"""Every chart of any data: well-formed, within its drawing, labels apart, names escaped, numbers in the table."""

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.drawings import check, drawing, head, of_class, parse, points, rows

from centralcloud.dashboard import charts
from centralcloud.dashboard.charts import numbers
from centralcloud.dashboard.charts.words import visible

NOW = datetime(2026, 11, 30, 2, 20, tzinfo=UTC)
START = NOW - timedelta(hours=30)
#: Examples are large, and the machine may be busy.
any_data = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])

HOSTILE = [
    "<script>alert(1)</script>",
    "\"onload='x'",
    "a&b",
    "\x00\x1b[2J",
    "\u202egnp\u200f",
    "\ufffe\uffff",
    "]]>",
    "qwen/qwen3-30b-a3b-2507",
]
names = st.one_of(st.sampled_from([*HOSTILE, "m" * 64, "", "ember-reason"]), st.text(max_size=64))
numbers_of_any_kind = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, 4e-7, 12_345_678.0, 1e300, 5e-324]))
rates = st.one_of(st.none(), st.floats(0, 1), st.sampled_from([float("nan"), float("inf"), -1.0, 2.0]))
moments = st.integers(-3 * 86_400, 86_400).map(lambda seconds: NOW + timedelta(seconds=seconds))
urls = st.sampled_from(["", "/pair?model=a&complexity=b", "javascript:alert(1)", "//evil.example/", '/"><script>'])


@any_data
@given(
    st.lists(st.builds(charts.Interval, names, rates, rates, rates, st.floats(), st.booleans(), urls), max_size=60),
    names,
    st.integers(0, 5),
)
def test_intervals_keep_the_rules(found: list[charts.Interval], title: str, panels: int) -> None:
    markup = charts.intervals([charts.Panel(title, found)] * panels, label=title)
    check(markup)
    shown = sorted(
        [visible(title), visible(row.name) + (" (most tasks)" if row.leads else ""), numbers.percent(row.mean)]
        for row in found
    )
    assert sorted(row[:3] for row in rows(markup)) == sorted(shown * panels)


@any_data
@given(
    st.lists(
        st.builds(
            charts.Difference,
            names,
            numbers_of_any_kind,
            numbers_of_any_kind,
            st.sampled_from(["better", "worse", "open", "unknown"]),
        ),
        max_size=60,
    ),
    names,
    st.sampled_from(["", "%"]),
    numbers_of_any_kind,
    st.integers(0, 4),
)
def test_differences_keep_the_rules(
    found: list[charts.Difference], title: str, unit: str, limit: float | None, panels: int
) -> None:
    markup = charts.differences([charts.Measure(title, found, unit, limit)] * panels, label=title)
    check(markup)
    shown = [[visible(title), visible(row.name)] for row in found]
    assert [row[:2] for row in rows(markup)] == shown * panels


@any_data
@given(
    st.lists(
        st.builds(charts.Step, moments, numbers_of_any_kind, numbers_of_any_kind, numbers_of_any_kind), max_size=400
    ),
    st.lists(
        st.builds(
            charts.Mark, moments, st.integers(1, 120), st.sampled_from(["alarm", "pin", "rollback", "hold"]), names
        ),
        max_size=80,
    ),
    names,
)
def test_score_steps_keep_the_rules(steps: list[charts.Step], marks: list[charts.Mark], label: str) -> None:
    ordered = sorted(steps, key=lambda step: step.at)
    markup = charts.score_steps(ordered, marks, start=START, end=NOW, label=label)
    check(markup)
    within = [step for step in ordered if START < step.at <= NOW]
    shown = [row for row in rows(markup) if len(row) == 4 and not row[0].isdigit()]
    assert len(shown) <= 321
    if len(within) <= 200:
        assert [row[1] for row in shown][len(shown) - len(within) :] == [numbers.score(step.score) for step in within]


@any_data
@given(
    st.dictionaries(names, st.lists(numbers_of_any_kind, max_size=50), max_size=12),
    st.integers(0, 50),
    names,
)
def test_traffic_shares_keep_the_rules_and_sum_to_all(
    shares: dict[str, list[float | None]], count: int, leader: str
) -> None:
    began = [START + index * timedelta(hours=1) for index in range(count)]
    began = [at for at in began if at < NOW]
    markup = charts.traffic_share(began, shares, leader=leader, end=NOW, label="x")
    check(markup)
    for row in rows(markup):
        if numbers.NOTHING not in row:
            total = sum(0 if cell.startswith("<") else float(cell.rstrip("%")) for cell in row[1:])
            assert abs(total - 100) < 0.11 * len(row), row
    if rows(markup):
        assert len(head(markup)) <= 7


@any_data
@given(
    st.lists(st.tuples(numbers_of_any_kind, st.booleans()), max_size=400),
    st.sampled_from(["usd", "count", "percent"]),
    st.sampled_from(["Europe/Zurich", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia"]),
    st.sampled_from([60, 3600, 86_400]),
    st.integers(0, 366 * 86_400),
)
def test_columns_keep_the_rules(
    values: list[tuple[float | None, bool]], unit: numbers.Unit, zone: str, length: int, began: int
) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=began)
    found = [charts.Column(start + timedelta(seconds=length * index), *value) for index, value in enumerate(values)]
    markup = charts.columns(found, unit=unit, zone=ZoneInfo(zone), label="x")
    check(markup)
    if len(found) <= 340:
        words = [cell.removesuffix(" so far") for _, cell in rows(markup)]
        assert words == [numbers.WORDS[unit](column.value) for column in found]


@any_data
@given(
    st.lists(
        st.builds(charts.CostPoint, names, numbers_of_any_kind, rates, rates, st.booleans(), st.booleans()),
        max_size=100,
    ),
    names,
    st.integers(0, 4),
)
def test_frontiers_keep_the_rules(found: list[charts.CostPoint], title: str, panels: int) -> None:
    markup = charts.frontier([charts.CostPanel(title, found)] * panels, label=title)
    check(markup)
    expected = [
        (numbers.usd(point.cost_of_success_usd), numbers.percent(point.success_rate)) for point in found
    ] * panels
    assert [(row[3], row[4]) for row in rows(markup)] == expected


bars = st.builds(
    charts.Bar, moments, st.none() | moments, st.sampled_from(["good", "look", "bad", "note", "neutral"]), names, urls
)


@any_data
@given(st.lists(st.builds(charts.Lane, names, st.lists(bars, max_size=12)), max_size=50))
def test_timelines_keep_the_rules(lanes: list[charts.Lane]) -> None:
    markup = charts.timeline(lanes, start=START, end=NOW, label="x")
    check(markup)
    assert len(rows(markup)) == sum(len(lane.bars) for lane in lanes)


@any_data
@given(st.lists(st.builds(charts.Part, names, numbers_of_any_kind, names), max_size=12), numbers_of_any_kind)
def test_parts_keep_the_rules(found: list[charts.Part], total: float | None) -> None:
    markup = charts.parts(found, total=total, label="x")
    check(markup)
    assert [row[0] for row in rows(markup)] == ([visible(part.name) for part in found] + ["Total"] if found else [])


@any_data
@given(
    st.lists(numbers_of_any_kind, max_size=300),
    names,
    st.none() | st.floats(),
    st.none() | st.floats(),
)
@example([0.0], "x", math.inf, None)
def test_sparklines_stay_in_their_box(
    values: list[float | None], label: str, low: float | None, high: float | None
) -> None:
    svg = parse(charts.sparkline(values, label=label, low=low, high=high))
    assert svg.get("aria-label") == visible(label)
    for path in svg.iter("path"):
        assert all(0 <= x <= 120 and 0 <= y <= 24 for x, y in points(path.get("d", "")))
        assert len(points(path.get("d", ""))) <= 42


@any_data
@given(st.floats(0, 5), st.floats(0, 5))
def test_a_higher_score_is_drawn_higher(score: float, other: float) -> None:
    def height(value: float) -> float:
        chart = charts.score_steps([charts.Step(START, value)], [], start=START, end=NOW, label="x")
        (dot,) = of_class(drawing(chart, "wide"), "circle", "dot")
        return float(dot.get("cy", ""))

    assert (height(score) <= height(other)) or score < other
    assert abs((height(other) - height(score)) - (score - other) * 34) < 0.11
