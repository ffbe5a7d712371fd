"""The view of the demonstration: complete and within the screen at every size, with Braille dots and in ASCII."""

import re
import shlex
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from centralcloud.demo.chart import draw_chart
from centralcloud.demo.progress import Point
from centralcloud.demo.simulated_models import COMPLEXITIES, PAIRS, SIMULATED_MODELS
from centralcloud.demo.state import LoopState, State
from centralcloud.demo.story import Line
from centralcloud.demo.view import LiveView, draw_screen, needs_ascii, status_line
from centralcloud.runtime.terminal.table_layout import text_width

_LEADERS = {"simple": "cirrus-mini", "medium": "dune-code", "complex": "ember-reason"}
_STORY = (
    Line(0.0, "5 routers choose models for their tasks, by scores that mislead"),
    Line(4.0, "CentralCloud starts to learn from the outcomes of the tasks"),
    *(Line(7.0, f"{task} tasks now go to {model}, no longer to borealis-pro") for task, model in _LEADERS.items()),
    Line(30.0, "INCIDENT: ember-reason silently drops from 98% to 30% on complex tasks"),
    Line(30.4, "CentralCloud notices it after 0.4 seconds: 55% instead of 98% success"),
)


def _state(**changes: Any) -> State:
    """A fleet after 33 seconds, in the incident."""
    points = [Point(float(second), 0.76 if second < 5 else 0.98, 0.982) for second in range(31)]
    points += [Point(31.0, 0.94, 0.961), Point(32.0, 0.932, 0.961), Point(33.0, 0.951, 0.961)]
    loop = LoopState(
        events=64_000,
        queue_length=20,
        in_sync=5,
        at_newest=3,
        version=321,
        metrics={pair: {"success_rate": 0.9876, "usage_count": 1234, "avg_response_time": 345.6} for pair in PAIRS},
        scores={(model, task): {"score": 4.9} for task, model in _LEADERS.items()},
    )
    usual = State(
        seconds=33.0,
        routers=5,
        exploration=0.0,
        points=tuple(points),
        rate_at_start=0.7643,
        rate=0.9512,
        best=0.961,
        cost_at_start=6.09,
        cost=10.24,
        learning=True,
        shares={pair: 0.974 if _LEADERS[pair[1]] == pair[0] else 0.0052 for pair in PAIRS},
        leaders=_LEADERS,
        degraded=frozenset({("ember-reason", "complex")}),
        loop=loop,
        events_per_second=1987.0,
        story=_STORY,
    )
    return replace(usual, **changes)


def _lines(state: State, width: int, height: int, *, ascii_only: bool = False) -> list[str]:
    return [line.plain for line in draw_screen(state, width=width, height=height, ascii_only=ascii_only)]


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (140, 50), (200, 70)])
def test_a_screen_is_complete_from_80_columns_on(width: int, height: int, ascii_only: bool) -> None:
    lines = _lines(_state(), width, height, ascii_only=ascii_only)
    text = "\n".join(lines)
    assert len(lines) <= height
    assert max(map(text_width, lines)) <= width
    assert text.isascii() == ascii_only
    for fact in (
        "Tasks that succeed: 95.1%",
        "at the start 76.4%",
        "best possible 96.1%",
        "5 of 5 routers in sync",
        "0:33  Ctrl-C ends",
        "$10.24 per 1,000 tasks (start $6.09)",
        "INCIDENT: ember-reason silently drops",
        "CentralCloud notices it after 0.4 seconds",
        *COMPLEXITIES,
        *SIMULATED_MODELS,
    ):
        assert fact in text, text
    assert "100%" in lines[3 if height >= 30 else 2], "the chart"


@pytest.mark.parametrize(
    ("width", "height", "lines_of_it"), [(80, 24, 2), (100, 30, 2), (200, 50, 1), (60, 24, 0), (40, 12, 0), (8, 2, 0)]
)
def test_the_last_lines_are_a_command_that_the_gateway_answers(width: int, height: int, lines_of_it: int) -> None:
    body = '{"model":"auto","messages":[{"role":"user","content":"Add 17 + 25."}]}'
    curl = f"curl 127.0.0.1:3003/v1/chat/completions -H content-type:application/json -d '{body}'"
    lines = _lines(_state(curl=curl), width, height)
    assert len(lines) <= height
    assert max(map(text_width, lines)) <= width
    shown = "\n".join(lines[-lines_of_it:]).removeprefix("Try it: ") if lines_of_it else ""
    assert (shlex.split(shown) == shlex.split(curl.replace("'{", "'\n{"))) == (lines_of_it == 2)
    assert (shown == curl) == (lines_of_it == 1)
    assert ("127.0.0.1:3003/v1/chat/completions" in "".join(lines)) == (width >= 60)


@pytest.mark.parametrize(("width", "complete"), [(120, True), (80, True), (60, False)])
def test_the_line_that_the_commands_of_the_pages_need_is_whole_or_not_there(width: int, complete: bool) -> None:
    exports = 'export PATH="$PWD/.venv/bin:$PATH" DATABASE_URL=embedded:.centralcloud/demo'
    lines = _lines(_state(dashboard="http://127.0.0.1:8480/", exports=exports), width, 24)
    address = next(number for number, line in enumerate(lines) if line.startswith("Watch it: http://127.0.0.1:8480/"))
    assert (exports in lines) == complete
    assert any("export" in line for line in lines) == complete
    assert (lines[address : address + 2][-1] == exports) == complete


def test_each_complexity_has_one_mark_on_its_leader() -> None:
    lines = _lines(_state(degraded=frozenset()), 80, 24)
    marked = {line.split()[0]: line.count("★") for line in lines if line.startswith(tuple(SIMULATED_MODELS))}
    assert marked == {model: int(model in _LEADERS.values()) for model in SIMULATED_MODELS}
    assert sum("▼" in line for line in _lines(_state(), 80, 24)) == 1


@pytest.mark.parametrize(("width", "height"), [(80, 24), (140, 50)])
def test_the_whole_numbers_of_the_table_are_there(width: int, height: int) -> None:
    (row,) = (line for line in _lines(_state(), width, height) if line.startswith("cirrus-mini"))
    assert re.search(r"97%.*3\.0→4\.9", row)
    assert ("98.8%" in row) == (width == 140)


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize(("width", "height"), [(79, 23), (60, 20), (40, 12), (20, 5), (8, 2), (1, 1)])
def test_a_small_terminal_shows_less_and_never_more_than_fits(width: int, height: int, ascii_only: bool) -> None:
    lines = _lines(_state(), width, height, ascii_only=ascii_only)
    assert len(lines) <= height
    assert max(map(text_width, lines)) <= width
    if width >= 40 and height >= 12:
        assert "95.1%" in "\n".join(lines)
        assert "cirrus-mini" in "\n".join(lines)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (140, 50)])
def test_the_first_second_has_no_numbers_that_are_not_known(width: int, height: int) -> None:
    loop = LoopState(0, 0, 5, 5, 0, {}, {})
    changes = {"points": (), "rate": None, "rate_at_start": None, "cost": None, "cost_at_start": None}
    changes |= {"learning": False, "shares": {}, "leaders": {}, "loop": loop, "story": (), "seconds": 0.0}
    state = _state(**changes)
    text = "\n".join(_lines(state, width, height))
    assert "Tasks that succeed: -   at the start -" in text
    assert "5 routers, nothing learned yet" in text
    assert "★ leads" in text
    assert text.count("★") == 1
    assert status_line(state).startswith("no tasks yet (best possible")


def test_the_words_are_those_of_everyday_language() -> None:
    text = "\n".join(_lines(_state(exploration=0.12), 140, 50)) + status_line(_state())
    assert not re.search(r"regret|posterior|\bpair|slice|propensity|probe|\d %", text)
    assert "12% of the tasks try any model" in text


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("seconds", [1, 2, 89, 91, 1000, 100_000])
def test_a_chart_fits_and_shows_curve_and_line_for_every_length(seconds: int, ascii_only: bool) -> None:
    step = max(1, seconds // 500)
    points = [Point(float(at), 0.5 + 0.48 * at / seconds, 0.982) for at in range(0, seconds + 1, step)]
    lines = draw_chart(points, width=80, height=9, ascii_only=ascii_only)
    assert len(lines) == 9
    assert all(text_width(line.plain) <= 80 for line in lines)
    assert {span.style for line in lines for span in line.spans} == {
        "bright_black",
        "bold bright_cyan",
        "bright_yellow",
    }
    times = lines[-1].plain.split()
    assert times[0] == "0:00"
    assert 3 <= len(times) <= 6
    assert all(time.endswith((":00", ":30")) for time in times), "round times"


def test_the_curve_rises_with_the_rate() -> None:
    rising = [Point(float(second), 0.76 + 0.2 * second / 89, 0.982) for second in range(90)]
    lines = [line.plain for line in draw_chart(rising, width=80, height=11, ascii_only=True)]
    first = [line.index("*") for line in lines if "*" in line]
    assert first == sorted(first, reverse=True)
    assert len(first) >= 8
    assert "-" in lines[0]


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-8", False), ("ascii", True), ("iso8859-1", True), ("cp437", True), ("unknown", True)],
)
def test_symbols_are_used_where_the_encoding_has_them(encoding: str, expected: bool) -> None:
    assert needs_ascii(encoding) == expected


def test_the_live_view_follows_the_size_of_the_terminal() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=80, height=24)
    view = LiveView(ascii_only=False)
    assert console.render_lines(view, pad=False) == [], "nothing before the first state"
    view.state = _state()
    for width, height in ((80, 24), (120, 40), (50, 15)):
        console.size = (width, height)  # type: ignore[assignment]
        lines = ["".join(segment.text for segment in line) for line in console.render_lines(view, pad=False)]
        assert max(map(text_width, lines)) <= width
        assert lines[0].startswith("CentralCloud demo")
        assert len(lines) <= height


@pytest.mark.parametrize("no_color", [False, True])
def test_colors_are_left_out_on_request(no_color: bool) -> None:
    out = StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard", no_color=no_color, width=80, height=24)
    view = LiveView(ascii_only=False)
    view.state = _state()
    console.print(view)
    colored = re.search(r"\x1b\[[0-9;]*(?:3|9)[0-7]m", out.getvalue()) is not None
    assert colored != no_color
