"""The report as lines of text, 100 columns wide at most. Pure."""

from collections.abc import Iterator
from datetime import tzinfo
from typing import Final

from centralcloud.dashboard.report.reading import Report
from centralcloud.dashboard.report.section import Section, Table
from centralcloud.dashboard.report.sections import heading, sections
from centralcloud.runtime.terminal.table_layout import table_lines, text_width, wrap
from centralcloud.runtime.wording import printable

WIDTH: Final = 100
_INDENT: Final = "  "


def report_lines(report: Report, zone: tzinfo) -> Iterator[str]:
    """Yield the lines of a report with decisions."""
    yield f"Report of {heading(report, zone)}, times in {zone}"
    for section in sections(report, zone):
        yield ""
        yield from _section_lines(section)


def _section_lines(section: Section) -> Iterator[str]:
    yield section.title
    yield "-" * text_width(section.title)
    for sentence in section.sentences:
        yield from wrap(printable(sentence), WIDTH, indent=_INDENT)
    if section.table is not None:
        yield ""
        table = section.table
        yield from table_lines(table.titles, _cells(table), WIDTH)
    for note in section.notes:
        yield from wrap(note, WIDTH, indent=_INDENT)


def _cells(table: Table) -> list[list[str]]:
    """Return the cells; those of columns of numbers are filled up to one width, so that amounts are right-aligned, too."""
    columns = []
    for title, *cells in zip(table.titles, *table.rows, strict=True):
        shown = [printable(cell) for cell in cells]
        width = max(map(text_width, [title, *shown])) if title in table.numbers else 0
        columns.append([" " * (width - text_width(cell)) + cell for cell in shown])
    return [list(row) for row in zip(*columns, strict=True)]
