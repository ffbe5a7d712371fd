"""Tables as lines of text: every number whole, at any width. Pure.

A table that is wider than the terminal changes its shape, in this order: long texts go below their row, titles break at
their underscores, names wrap, the first column becomes a heading over its rows, and at last each field has a line.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_GAP: Final = 2
_INDENT: Final = 4
#: Words of names are not broken before this width.
_WIDEST_WORD: Final = 20
#: A row that takes more lines gets its name as a heading.
_MOST_LINES: Final = 3
_LEAST_WIDTH: Final = 20
_NONE: Final = "-"
_NUMBER: Final = re.compile(r"[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?( ?(%|ms|s|USD))?")
#: Words, each with the spaces before it: a number stays with its unit.
_WORDS_AND_GAPS: Final = re.compile(r"(\s*)(\d\S* (?:ms|s|USD)(?!\S)|\S+)")
#: Parts of a long word: it may break after these characters, but not inside a number.
_PARTS: Final = re.compile(r"[^-_/:=,.]*(?:[-_/:=]|[,.](?!\d)|[,.](?=\d)\d+)+|.+$")


def text_width(text: str) -> int:
    """Return the columns that a text takes on a terminal: 2 for wide characters, 0 for combining ones."""
    if text.isascii():
        return len(text)
    return sum(map(_character_width, text))


def wrap(text: str, width: int, *, indent: str = "") -> list[str]:
    """Break a text into lines of at most `width` columns: between words, inside a word only if it is longer than a line.

    Every line but the first begins with `indent`. Spaces between words of one line are kept.
    """
    if text_width(text) <= width:
        return [text]
    words = [(" " * len(gap), word) for gap, word in _WORDS_AND_GAPS.findall(text)]
    if not words:
        return [""]
    before, first = words[0]
    room = max(1, width - max(text_width(before), text_width(indent)))
    lines = [before]
    words[0] = ("", first)
    for gap, word in words:
        for number, part in enumerate([word] if text_width(word) <= room else _pieces(word, room)):
            joined = lines[-1] + (gap if number == 0 else "") + part
            if text_width(joined) <= width:
                lines[-1] = joined
            else:
                lines.append(indent + part)
    return lines


def _pieces(word: str, width: int) -> list[str]:
    return [piece for part in _PARTS.findall(word) or [word] for piece in _chop(part, width)]


def _words(text: str) -> list[str]:
    return [word for _, word in _WORDS_AND_GAPS.findall(text)] or [""]


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Fill a text up with spaces to `width` columns; with `right`, on its left."""
    filling = " " * (width - text_width(text))
    return filling + text if right else text + filling


def plain_lines(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield one line a row, as wide as it gets, for programs that read lines."""
    widths = [max(map(text_width, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        yield _line(list(row), widths, [False] * len(widths))


def table_lines(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    texts: Collection[str] = (),
    heading: str | None = None,
    emphasis: Callable[[str], str] = str,
) -> Iterator[str]:
    """Yield the lines of a table that is at most `width` columns wide. Numbers are right-aligned.

    Args:
        rows: a cell without a value is ``-``.
        texts: titles of columns with sentences, which may stand below their row.
        heading: title of the column that may become a heading over its rows; without it, the first one.
        emphasis: applied to the lines with the titles.
    """
    width = max(width, _LEAST_WIDTH)
    columns = [_Column.of(title, list(cells)) for title, *cells in zip(titles, *rows, strict=True)]
    if _total([column.natural for column in columns]) <= width:
        yield from _table(columns, [], [column.natural for column in columns], emphasis, width)
        return
    above = [column for column in columns if column.title not in texts]
    below = [column for column in columns if column.title in texts]
    first = next((column for column in above if column.title == heading), above[0])
    others = [column for column in above if column is not first]
    widths = _fit(above, width, kept=first)
    widths_of_others = _fit(others, width - _GAP) if len(above) > 2 else None
    if widths and (widths_of_others is None or _is_readable(above, widths, first)):
        yield from _table(above, below, widths, emphasis, width)
    elif widths_of_others:
        yield from _table_with_headings(first, others, below, widths_of_others, emphasis, width)
    else:
        yield from _records(columns, width)


@dataclass(frozen=True, slots=True)
class _Column:
    """A column with its widths: of the cells, and the least one at which it can be read."""

    title: str
    cells: list[str]
    is_number: bool
    natural: int
    without_title: int
    narrowest: int

    @classmethod
    def of(cls, title: str, cells: list[str]) -> "_Column":
        is_number = all(cell == _NONE or _NUMBER.fullmatch(cell) for cell in cells) and set(cells) != {_NONE}
        widest = max(map(text_width, cells))
        longest_word = max(text_width(word) for cell in cells for word in _words(cell))
        title_part = max(map(text_width, _title_parts(title)))
        least = widest if is_number else min(widest, longest_word, _WIDEST_WORD)
        return cls(
            title,
            cells,
            is_number,
            natural=max(widest, text_width(title)),
            without_title=max(widest, title_part),
            narrowest=max(least, title_part),
        )

    def title_lines(self, width: int) -> list[str]:
        if text_width(self.title) <= width:
            return [self.title]
        lines = [""]
        for part in _title_parts(self.title):
            joined = f"{lines[-1]}_{part}" if lines[-1] else part
            if text_width(joined) <= width:
                lines[-1] = joined
            else:
                lines.append(part)
        return lines


def _title_parts(title: str) -> list[str]:
    return re.split("[_ ]", title)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _fit(columns: Sequence[_Column], width: int, kept: _Column | None = None) -> list[int] | None:
    """Return the width of each column: titles break first, then names wrap, then `kept`; None if they do not fit."""
    widths = [column.natural for column in columns]
    titles_broken = [column.without_title for column in columns]
    names_wrapped = [column.without_title if column is kept else column.narrowest for column in columns]
    for least in (titles_broken, names_wrapped, [column.narrowest for column in columns]):
        while _total(widths) > width:
            wide = [index for index in range(len(columns)) if widths[index] > least[index]]
            if not wide:
                break
            widths[max(wide, key=widths.__getitem__)] -= 1
    return widths if _total(widths) <= width else None


def _is_readable(columns: Sequence[_Column], widths: Sequence[int], first: _Column) -> bool:
    """Whether no row is tall, and the column that may be a heading is not wrapped."""
    return all(
        len(wrap(cell, width)) <= (1 if column is first else _MOST_LINES)
        for column, width in zip(columns, widths, strict=True)
        if column.natural > width
        for cell in column.cells
    )


def _table(
    columns: Sequence[_Column],
    below: Sequence[_Column],
    widths: Sequence[int],
    emphasis: Callable[[str], str],
    width: int,
) -> Iterator[str]:
    for line in (*_titles(columns, widths), *_titles_below(below, width)):
        yield emphasis(line)
    for index in range(len(columns[0].cells)):
        yield from _row(columns, widths, index)
        yield from _texts(below, index, width)


def _table_with_headings(
    first: _Column,
    rest: Sequence[_Column],
    below: Sequence[_Column],
    widths: Sequence[int],
    emphasis: Callable[[str], str],
    width: int,
) -> Iterator[str]:
    margin = " " * _GAP
    yield emphasis(first.title)
    for line in (*(margin + line for line in _titles(rest, widths)), *_titles_below(below, width)):
        yield emphasis(line)
    for index, heading in enumerate(first.cells):
        if index == 0 or heading != first.cells[index - 1]:
            yield from wrap(heading, width)
        yield from (margin + line for line in _row(rest, widths, index))
        yield from _texts(below, index, width)


def _records(columns: Sequence[_Column], width: int) -> Iterator[str]:
    """Yield one line a field; an empty line between two rows."""
    titles = max(text_width(column.title) for column in columns) + _GAP
    numbers = max(map(text_width, (cell for column in columns for cell in column.cells)))
    are_numbers = all(column.is_number for column in columns)
    for index in range(len(columns[0].cells)):
        if index:
            yield ""
        for column in columns:
            cell = column.cells[index]
            if are_numbers:
                cell = pad(cell, numbers, right=True)
            if titles + text_width(cell) <= width:
                yield pad(column.title, titles) + cell
            elif not column.is_number and width - titles >= _LEAST_WIDTH:
                lines = wrap(cell, width - titles)
                yield from (
                    pad(column.title if number == 0 else "", titles) + line for number, line in enumerate(lines)
                )
            else:
                yield column.title
                yield from (" " * _GAP + line for line in wrap(cell.strip(), width - _GAP))


def _titles(columns: Sequence[_Column], widths: Sequence[int]) -> Iterator[str]:
    titles = [column.title_lines(width) for column, width in zip(columns, widths, strict=True)]
    yield from _block(columns, widths, titles, at_bottom=True)


def _titles_below(below: Sequence[_Column], width: int) -> list[str]:
    if not below:
        return []
    return [" " * _INDENT + line for line in wrap(", ".join(column.title for column in below), width - _INDENT)]


def _row(columns: Sequence[_Column], widths: Sequence[int], index: int) -> Iterator[str]:
    cells = [wrap(column.cells[index], width) for column, width in zip(columns, widths, strict=True)]
    yield from _block(columns, widths, cells)


def _texts(below: Sequence[_Column], index: int, width: int) -> Iterator[str]:
    for column in below:
        if (text := column.cells[index]) != _NONE:
            labelled = f"{column.title}: {text}" if len(below) > 1 else text
            yield from (" " * _INDENT + line for line in wrap(labelled, width - _INDENT))


def _block(
    columns: Sequence[_Column], widths: Sequence[int], cells: Sequence[list[str]], *, at_bottom: bool = False
) -> Iterator[str]:
    height = max(map(len, cells))
    for number in range(height):
        shift = [height - len(lines) if at_bottom else 0 for lines in cells]
        parts = [
            lines[number - above] if 0 <= number - above < len(lines) else ""
            for lines, above in zip(cells, shift, strict=True)
        ]
        yield _line(parts, widths, [column.is_number for column in columns])


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (pad(cell, width, right=is_right) for cell, width, is_right in zip(cells, widths, right, strict=True))
    return (" " * _GAP).join(padded).rstrip()


def _chop(text: str, width: int) -> list[str]:
    """Break a word that is longer than a line anywhere."""
    pieces = [""]
    for character in text:
        if text_width(pieces[-1] + character) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
