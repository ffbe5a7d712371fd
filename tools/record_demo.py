#!/usr/bin/env python3
"""Record the demonstration as an animated SVG.

    tools/record_demo.py [FILE] [--seconds N] [--seed N]     # default: docs/images/demo.svg

Runs the real demonstration in a folder of its own, draws the live view of every second for a terminal of 100 columns and 30
lines, and writes one SVG with an animation by CSS: no script, no font, nothing that is loaded. Each run of characters has
a fixed width, and dots, bars and lines are drawn as shapes, so it looks the same with every font.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from html import escape
from pathlib import Path
from typing import NamedTuple

from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from centralcloud.demo.demonstration import run_demo
from centralcloud.demo.state import State
from centralcloud.demo.view import draw_screen

_COLUMNS, _LINES = 100, 30
_CELL_WIDTH, _LINE_HEIGHT, _FONT_SIZE = 8.4, 18, 14
_MARGIN, _TITLE_BAR = 16, 52
#: One frame for so many seconds of the demonstration, shown this long; the last one stays longer.
_FRAME_STEP, _FRAME_SECONDS, _LAST_FRAME_SECONDS = 2, 0.5, 3.0
_FONTS = 'ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono","Liberation Mono",monospace'
_BACKGROUND, _FOREGROUND, _BORDER = "#0d1117", "#d1d7e0", "#3d444d"
_COLORS = {
    "bright_black": "#848d97",
    "bright_red": "#ff7b72",
    "bright_green": "#56d364",
    "bright_yellow": "#e3b341",
    "bright_cyan": "#56d4dd",
}
#: In a text that is not longer, the width of a font's characters makes no visible difference.
_SHORT_TEXT = 3
_CLASSES = (_FOREGROUND, *_COLORS.values())
_DOT_WIDTH, _DOT_HEIGHT = _CELL_WIDTH / 2, _LINE_HEIGHT / 4
_CONSOLE = Console(width=_COLUMNS)
_ALTERNATIVE_TEXT = (
    "Recording of the CentralCloud demo: the success rate of five routers rises from about 76% to 98% within seconds. When "
    "the model that leads complex tasks silently degrades, the routers leave it, and return to it after it has recovered."
)


class Run(NamedTuple):
    """Characters of one line that look alike, from a column on."""

    column: int
    text: str
    color: str
    bold: bool


def main() -> int:
    """Record and write; returns the exit code."""
    parser = argparse.ArgumentParser(description="Record the demonstration as an animated SVG.")
    parser.add_argument("file", type=Path, nargs="?", default=Path("docs/images/demo.svg"))
    parser.add_argument("--seconds", type=float, default=76.0, help="length of the recorded demonstration")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    file = arguments.file.absolute()
    states = record(arguments.seconds, arguments.seed)
    frames = [draw_screen(state, width=_COLUMNS, height=_LINES, ascii_only=False) for state in thinned(states)]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(animate(frames))
    sys.stdout.write(f"{file}: {len(frames)} frames of {len(states)} seconds, {file.stat().st_size / 1000:,.0f} kB\n")
    return 0


def record(seconds: float, seed: int) -> list[State]:
    """Run the demonstration and return the state of every second."""
    states: list[State] = []
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # the server of root runs as another user
        os.chdir(folder)
        try:
            with redirect_stdout(sys.stderr):  # its plain lines show how far it is
                run_demo(rule="adaptive", instances=5, seconds=seconds, seed=seed, observe=states.append)
        finally:
            os.chdir(here)
    return states


def thinned(states: Sequence[State]) -> list[State]:
    """Every second state, and the last one."""
    chosen = list(states[::_FRAME_STEP])
    return chosen if chosen[-1] is states[-1] else [*chosen, states[-1]]


def animate(frames: Sequence[Sequence[Text]]) -> str:
    """Return the SVG: the frames beside each other behind a window that moves from one to the next.

    A line that looks the same in several frames is defined once. Without animation the last frame is shown.
    """
    width = round(_COLUMNS * _CELL_WIDTH + 2 * _MARGIN)
    height = (_LINES - 1) * _LINE_HEIGHT + _TITLE_BAR + _MARGIN
    numbers: dict[str, int] = {}
    strips = []
    for number, frame in enumerate(frames):
        uses = []
        for row, line in enumerate(frame):
            drawn = "".join(_shapes(line))
            if drawn:
                known = numbers.setdefault(drawn, len(numbers))
                uses.append(f'<use href="#l{known}" y="{row * _LINE_HEIGHT}"/>')
        strips.append(f'<g transform="translate({number * width})">{"".join(uses)}</g>')
    lines = "\n".join(f'<g id="l{number}">{drawn}</g>' for drawn, number in numbers.items())
    length = len(frames) * _FRAME_SECONDS + _LAST_FRAME_SECONDS
    steps = "".join(
        f"{100 * number * _FRAME_SECONDS / length:.2f}%{{transform:translateX({-number * width}px)}}"
        for number in range(len(frames))
    )
    last = -(len(frames) - 1) * width
    classes = "".join(f".{_class(color)}{{fill:{color};color:{color}}}" for color in _CLASSES)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" \
role="img" aria-labelledby="alt">
<title id="alt">{escape(_ALTERNATIVE_TEXT)}</title>
<style>
text{{font:{_FONT_SIZE}px {_FONTS};white-space:pre}}
.b{{font-weight:700}}{classes}
.d{{fill:none;stroke:currentColor;stroke-width:.56;stroke-linecap:square;transform:scale({_DOT_WIDTH},{_DOT_HEIGHT})}}
#frames{{transform:translateX({last}px);animation:play {length:.1f}s step-end infinite}}
@keyframes play{{{steps}100%{{transform:translateX({last}px)}}}}
@media (prefers-reduced-motion:reduce){{#frames{{animation:none}}}}
</style>
<defs>
<clipPath id="window"><rect width="{width - 2 * _MARGIN + 4}" height="{height}" x="-2" y="-{_LINE_HEIGHT}"/></clipPath>
{lines}
</defs>
<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8" fill="{_BACKGROUND}" stroke="{_BORDER}"/>
<circle cx="20" cy="17" r="5.5" fill="#ff5f57"/><circle cx="38" cy="17" r="5.5" fill="#febc2e"/>\
<circle cx="56" cy="17" r="5.5" fill="#28c840"/>
<text x="{width / 2}" y="21" text-anchor="middle" fill="#848d97" xml:space="preserve">make demo</text>
<g transform="translate({_MARGIN} {_TITLE_BAR})" clip-path="url(#window)"><g id="frames">
{chr(10).join(strips)}
</g></g>
</svg>
"""


def _shapes(line: Text) -> Iterator[str]:
    """Draw one line: texts, and Braille dots and bars as paths, one for each color."""
    paths: dict[tuple[str, bool], list[str]] = {}
    for run in _runs(line):
        position = run.column
        for part, drawn in _parts(run.text):
            if drawn:
                for column, character in enumerate(part, position):
                    dots = ord(character) >= 0x2800
                    shape = _dots(column, character) if dots else _outline(column, character)
                    paths.setdefault((run.color, dots), []).append(shape)
            elif part.strip():
                start = position + len(part) - len(part.lstrip())
                yield _text(start, part.strip(), run)
            position += len(part)
    for (color, dots), path in paths.items():
        yield f'<path class="{"d " if dots else ""}{_class(color)}" d="{"".join(path)}"/>'


def _runs(line: Text) -> Iterator[Run]:
    """Split a line where its look changes."""
    column = 0
    for segment in line.render(_CONSOLE, end=""):
        style = segment.style or Style()
        yield Run(column, segment.text, _color(style.color), bool(style.bold))
        column += len(segment.text)


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """Split a text into parts that are drawn as shapes (True) and parts that are written."""
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or _is_drawn(text[end]) != _is_drawn(text[start]):
            yield text[start:end], _is_drawn(text[start])
            start = end


def _is_drawn(character: str) -> bool:
    return character in "■│┄★▼" or 0x2800 <= ord(character) <= 0x28FF


def _text(column: int, text: str, run: Run) -> str:
    bold = " b" if run.bold else ""
    length = f' textLength="{_number(len(text) * _CELL_WIDTH)}"' if len(text) > _SHORT_TEXT else ""
    return f'<text x="{_x(column)}"{length} class="{_class(run.color)}{bold}">{escape(text, quote=False)}</text>'


def _outline(column: int, character: str) -> str:
    """The outline of a symbol; the base line is at y=0, and the cell reaches from -13 to 5."""
    x = column * _CELL_WIDTH
    if character == "│":
        return f"M{x + 3.9:.1f}-13h.8v18h-.8z"
    if character == "┄":
        return f"M{x + 0.5:.1f}-5h2.8v1.6h-2.8zM{x + 4.7:.1f}-5h2.8v1.6h-2.8z"
    if character == "★":
        return f"M{x + 4.2:.1f}-11l1.5 3.4 3.7.4-2.8 2.4.8 3.6-3.2-1.9-3.2 1.9.8-3.6-2.8-2.4 3.7-.4z"
    if character == "▼":
        return f"M{x + 0.2:.1f}-9h8l-4 8z"
    return f"M{x + 0.6:.1f}-9h7.2v9h-7.2z"


def _dots(column: int, character: str) -> str:
    """The dots of a Braille character, in units of a dot: the cell has 2 columns and 4 rows of them."""
    bits = ord(character) - 0x2800
    places = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
    return "".join(
        f"M{2 * column + side + 0.5} {row - 2.4:.1f}h0" for bit, (side, row) in enumerate(places) if bits >> bit & 1
    )


def _x(column: int) -> str:
    return _number(column * _CELL_WIDTH)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _color(color: Color | None) -> str:
    return _FOREGROUND if color is None or color.name == "default" else _COLORS[color.name]


def _class(color: str) -> str:
    """The name of the class of a color."""
    return f"c{_CLASSES.index(color)}"


if __name__ == "__main__":
    sys.exit(main())
