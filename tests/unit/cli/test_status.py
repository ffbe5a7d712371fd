"""`status` on a terminal: wrapped to its width, and with --watch cut to its height."""

import pytest

from centralcloud.cli.status import fitted, read_lines
from centralcloud.runtime.postgres.database import Database

_FINDING = (
    "           low_success_rate 19 minutes ago: 3,661 of 4,826 outcomes of gpt-4o for complex tasks succeeded in the "
    "last 24 hours (75.9%): expected at least 85.0%"
)


@pytest.mark.parametrize("width", [80, 140])
def test_a_line_breaks_between_words_and_its_rest_is_indented(width: int) -> None:
    lines = fitted(["findings   1 open", _FINDING], width)
    assert lines[0] == "findings   1 open"
    assert max(map(len, lines)) <= width
    assert lines[1].startswith("           low_success_rate 19")
    assert all(line.startswith(" " * 13) for line in lines[2:])
    assert " ".join(" ".join(lines[1:]).split()) == " ".join(_FINDING.split())


def test_lines_that_do_not_fit_on_the_screen_are_counted() -> None:
    """The first lines matter most, and would scroll away."""
    lines = [f"line {number}" for number in range(30)]
    assert fitted(lines, 80, 23) == [*lines[:22], "           8 more lines: enlarge the window to see them"]
    assert fitted(lines[:23], 80, 23) == lines[:23]


def test_an_outage_is_shown_and_does_not_end_the_watch() -> None:
    with Database("postgresql://user@127.0.0.1:1/none", application_name="tests") as unreachable:
        (line,) = read_lines(unreachable, 0.1)
    assert "the database is unavailable: connection failed" in line
