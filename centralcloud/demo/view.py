"""The view of the demonstration: a full screen on a terminal, one line elsewhere. Pure."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from centralcloud.demo.chart import BEST_STYLE, CURVE_STYLE, draw_chart
from centralcloud.demo.simulated_models import COMPLEXITIES, SIMULATED_MODELS, truth
from centralcloud.demo.state import State
from centralcloud.demo.story import Line, clock
from centralcloud.runtime.terminal.table_layout import wrap
from centralcloud.runtime.wording import counted, percent

_MODEL_WIDTH: Final = max(map(len, SIMULATED_MODELS)) + 1
_LEADER_STYLE: Final = "bold bright_green"
_DEGRADED_STYLE: Final = "bold bright_red"
#: Below the text of a line of the story, behind its time.
STORY_INDENT: Final = " " * 7
_FAINT: Final = "bright_black"
#: A screen with fewer lines has no chart; one with fewer columns has no chart and no bars.
_LEAST_CHART_LINES, _LEAST_CHART_COLUMNS = 4, 50
_MOST_CHART_LINES: Final = 24
#: Lines for the story, however short it is yet: the chart keeps its size.
_STORY_LINES, _STORY_LINES_ROOMY = 4, 6
#: On a screen with more lines, empty lines separate the parts.
_ROOMY_LINES: Final = 30
#: Smaller screens have no room for the line with the gateway.
_LEAST_LINES_TO_TRY: Final = 20


class _Symbols(NamedTuple):
    leader: str
    degraded: str
    bar: str
    becomes: str
    separator: str
    line: str


_UNICODE: Final = _Symbols("★", "▼", "■", "→", "·", "┄")
_ASCII: Final = _Symbols("*", "!", "#", ">", "|", "-")


def needs_ascii(encoding: str) -> bool:
    """Whether an output with this encoding cannot show the symbols and the dots of the chart."""
    try:
        f"{''.join(_UNICODE)}\u28ff│".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return True
    return False


class LiveView:
    """The newest state, drawn for the size that the terminal has at that moment."""

    def __init__(self, *, ascii_only: bool) -> None:
        self.state: State | None = None
        self._ascii_only = ascii_only

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.state is None:
            return
        height = options.height or console.height
        for line in draw_screen(self.state, width=options.max_width, height=height, ascii_only=self._ascii_only):
            yield from line.render(console)
            yield Segment.line()


def draw_screen(state: State, *, width: int, height: int, ascii_only: bool) -> list[Text]:
    """Draw the whole screen: at most `height` lines of at most `width` columns.

    Complete from 80 columns and 24 lines on. On a smaller screen the oldest lines of the story go first, then the chart.
    """
    symbols = _ASCII if ascii_only else _UNICODE
    gap = [Text("")]
    roomy = height >= _ROOMY_LINES
    top = [_title(state, width, symbols), *(gap if roomy else []), _success(state, width, symbols)]
    table = [*gap, *_table(state, width, symbols)]
    bottom = [*gap, _loop(state, width, symbols), *(gap if roomy else [])]
    last = _addresses(state, width) if height >= _LEAST_LINES_TO_TRY else []
    free = height - len(top) - len(table) - len(bottom) - len(last)
    story = _story(state, width, ascii_only)
    chart_lines = min(_MOST_CHART_LINES, free - (_STORY_LINES if free < _ROOMY_LINES // 2 else _STORY_LINES_ROOMY))
    if chart_lines < _LEAST_CHART_LINES or width < _LEAST_CHART_COLUMNS:
        chart: list[Text] = []
    else:
        chart = draw_chart(state.points, width=width, height=chart_lines, ascii_only=ascii_only)
    shown = max(0, free - len(chart))
    lines = [*top, *chart, *table, *bottom, *(story[-shown:] if shown else [])][: height - len(last)] + last
    for line in lines:
        line.truncate(width)
    return lines


def status_line(state: State) -> str:
    """The state in one line, for a log."""
    rate = "no tasks yet" if state.rate is None else f"{percent(state.rate)} of the tasks succeed"
    start = (
        "" if state.rate_at_start is None or not state.learning else f"at the start {percent(state.rate_at_start)}, "
    )
    events = f"{state.events_per_second:,.0f} events a second"
    return f"{rate} ({start}best possible {percent(state.best)}); {_sync(state)}; {events}"


def story_line(line: Line) -> str:
    """A line of the story with its time."""
    return f"{clock(line.seconds):>5}  {line.text}"


def _sync(state: State) -> str:
    if not state.loop.version:
        return f"{counted(state.routers, 'router')}, nothing learned yet"
    return f"{state.loop.in_sync} of {counted(state.routers, 'router')} in sync"


def _addresses(state: State, width: int) -> list[Text]:
    """Where to watch and to try: the pages, and the command that the gateway answers."""
    return [*_watch_it(state, width), *(_try_it(state.curl, width) if state.curl else [])]


def _watch_it(state: State, width: int) -> list[Text]:
    """The address of the pages, and the line that their commands need, where it fits: a part of it would not work."""
    if not state.dashboard:
        return []
    address = f"Watch it: {state.dashboard}"
    if not state.exports or len(state.exports) > width:
        return [Text(address, _FAINT)]
    lines = (f"{address}   Its commands need, in a second terminal in this folder:", state.exports)
    return [Text(line if len(line) <= width else address, _FAINT) for line in lines]


def _try_it(curl: str, width: int) -> list[Text]:
    """The command that the gateway answers: on one line, or on two that a shell takes as one; else only its address.

    The lines are parted inside the quotes, where JSON may have blanks: a terminal may copy some at the end of a line.
    """
    end = curl.index("'{") + 1
    for prefix in ("Try it: ", ""):
        for lines in ([f"{prefix}{curl}"], [f"{prefix}{curl[:end]}", curl[end:]]):
            if max(map(len, lines)) <= width:
                return [Text(line, _FAINT) for line in lines]
    return [Text(f"A gateway answers at {curl.split()[1]}", _FAINT)]


def _title(state: State, width: int, symbols: _Symbols) -> Text:
    routers = counted(state.routers, "router")
    titles = (
        f"CentralCloud demo {symbols.separator} {routers} learn which model is best for which tasks",
        f"CentralCloud demo {symbols.separator} {routers} learn which model to use",
    )
    right = f"{clock(state.seconds)}  Ctrl-C ends"
    title = next((title for title in titles if len(title) + len(right) + 2 <= width), "CentralCloud demo")
    return Text.assemble((title, "bold"), " " * max(2, width - len(title) - len(right)), (right, _FAINT))


def _success(state: State, width: int, symbols: _Symbols) -> Text:
    rate = "-" if state.rate is None else percent(state.rate)
    start = "-" if state.rate_at_start is None else percent(state.rate_at_start)
    line = Text.assemble("Tasks that succeed: ", (rate, CURVE_STYLE))
    for text, style in (
        (f"at the start {start}", ""),
        (f"{symbols.line * 2} best possible {percent(state.best)}", BEST_STYLE),
        (f"{percent(state.exploration, 0)} of the tasks try any model" if state.exploration else "", _FAINT),
    ):
        if text and len(line) + 3 + len(text) <= width:
            line.append("   ").append(text, style)
    return line


def _table(state: State, width: int, symbols: _Symbols) -> Iterator[Text]:
    cell = (width - _MODEL_WIDTH) // len(COMPLEXITIES)
    with_scores, with_rates = cell >= 22, cell >= 36
    header = Text.assemble((f"{symbols.leader} leads".ljust(_MODEL_WIDTH), _LEADER_STYLE))
    for complexity in COMPLEXITIES:
        title = f"  {complexity}" if with_scores else f" {complexity}"
        names = ("succeed   score" if with_rates else "score") if with_scores else ""
        header.append(f"{title}{names:>{max(0, cell - 1 - len(title))}}".ljust(cell), "bold")
    yield header
    for model in SIMULATED_MODELS:
        row = Text(model.ljust(_MODEL_WIDTH))
        for complexity in COMPLEXITIES:
            row.append(_table_cell(state, (model, complexity), cell, symbols, scores=with_scores, rates=with_rates))
        yield row


def _table_cell(
    state: State, pair: tuple[str, str], width: int, symbols: _Symbols, *, scores: bool, rates: bool
) -> Text:
    """Mark, bar and share of the tasks, and with enough width the success rate, and the score at the start and now."""
    model, complexity = pair
    leads = state.leaders.get(complexity) == model
    degraded = pair in state.degraded
    mark = symbols.degraded if degraded else symbols.leader if leads else " "
    style = _DEGRADED_STYLE if degraded else _LEADER_STYLE if leads else _FAINT
    share = state.shares.get(pair, 0.0)
    text = f"{_whole_percent(share):>5}"
    tail = ""
    if rates:
        outcome = state.loop.metrics.get(pair, {}).get("success_rate")
        tail += f"{'-' if outcome is None else percent(outcome):>8}"
    if scores:
        tail += f"{_score_change(state, pair, symbols):>{9 if rates else 8}}"
    longest = max(0, width - 3 - len(text) - len(tail))
    bar = symbols.bar * round(share * longest) if longest >= 3 else ""
    bar = bar.ljust(longest if longest >= 3 else 0)
    return Text.assemble((f"{mark} {bar}{text}", style), (tail, "" if leads or degraded else _FAINT)).append(
        " " * (width - 2 - len(bar) - len(text) - len(tail))
    )


def _whole_percent(share: float) -> str:
    """The share in percent; a small one is not 0% and one that is not everything is not 100%."""
    if 0 < share < 0.01:
        return "<1%"
    return percent(min(share, 0.99) if share < 1 else share, 0)


def _score_change(state: State, pair: tuple[str, str], symbols: _Symbols) -> str:
    claimed = truth(*pair).claimed
    learned = state.loop.scores.get(pair)
    return f"{claimed:.1f}" if learned is None else f"{claimed:.1f}{symbols.becomes}{float(learned['score']):.1f}"


def _loop(state: State, width: int, symbols: _Symbols) -> Text:
    """Routers in sync, events and costs, as far as they fit."""
    all_in_sync = state.loop.version and state.loop.in_sync >= state.routers
    line = Text.assemble((_sync(state), "bold bright_green" if all_in_sync else "bold"))
    waiting = f", {state.loop.queue_length:,} waiting" if state.loop.queue_length > state.events_per_second else ""
    cost = "" if state.cost is None else f"${state.cost:.2f} per 1,000 tasks"
    if cost and state.learning and state.cost_at_start is not None:
        cost += f" (start ${state.cost_at_start:.2f})"
    for text in (f"{state.events_per_second:,.0f} events/s{waiting}", cost):
        if text and len(line) + 3 + len(text) <= width:
            line.append(f" {symbols.separator} ", _FAINT).append(text)
    return line


def _story(state: State, width: int, ascii_only: bool) -> list[Text]:
    """The lines of the story, wrapped; the newest are bright."""
    lines = []
    for line in state.story:
        text = story_line(line)
        text = text.encode("ascii", "replace").decode() if ascii_only else text
        style = "bright_red" if line.text.startswith("INCIDENT") else ""
        for number, part in enumerate(wrap(text, max(20, width), indent=STORY_INDENT)):
            drawn = Text.assemble((part, style))
            if number == 0 and not style:
                drawn.stylize(_FAINT, 0, len(STORY_INDENT))
            lines.append(drawn)
    return lines
