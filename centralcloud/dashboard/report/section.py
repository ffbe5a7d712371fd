"""The parts of a report: sections with sentences and tables. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo


@dataclass(frozen=True)
class Table:
    """Rows of texts. `numbers`: titles of the columns that are numbers; `wide`: the column with sentences."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[str] = ()
    wide: str | None = None


@dataclass(frozen=True)
class Section:
    """A section of the report. `name`: of the chart that belongs to it on the HTML page."""

    name: str
    title: str
    sentences: Sequence[str]
    table: Table | None = None
    notes: Sequence[str] = ()


def moment(at: datetime, zone: tzinfo) -> str:
    """Return a moment in a zone: "28 Nov 14:05"."""
    return f"{at.astimezone(zone):%d %b %H:%M}"
