"""Emphasis by one rule for every output, and lines that fit the terminal."""

import io
import sys

import pytest

from centralcloud.runtime.diagnostics import NamedCheckResult, Verdict
from centralcloud.runtime.logs import configure_logs, get_logger
from centralcloud.runtime.styles import shows_styles
from centralcloud.runtime.terminal.checkup_output import print_checkup
from centralcloud.runtime.terminal.emphasis import Style, emphasize, rich_console
from centralcloud.runtime.terminal.lines import Line, print_lines
from centralcloud.runtime.terminal.output import print_table, print_text
from centralcloud.runtime.terminal.table_layout import text_width


class _Screen(io.StringIO):
    """Standard output that says whether it is a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def _screen(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, **environment: str) -> _Screen:
    """Make a terminal of 40 columns, or a pipe, standard output."""
    screen = _Screen(terminal=terminal)
    monkeypatch.setattr(sys, "stdout", screen)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", "COLUMNS": "40", **environment}.items():
        monkeypatch.setenv(name, value)
    return screen


@pytest.mark.parametrize(
    ("terminal", "environment", "styled"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": ""}, False),
        (True, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (False, {"FORCE_COLOR": "1", "TERM": "dumb"}, False),
    ],
)
def test_every_output_follows_one_rule_of_emphasis(
    terminal: bool, environment: dict[str, str], styled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = _screen(monkeypatch, terminal=terminal, **environment)
    assert shows_styles(screen) == styled
    assert (emphasize("late", Style.WARNING) != "late") == styled
    outputs = {
        "line": lambda: print_lines([Line("late", Style.WARNING)]),
        "checkup": lambda: print_checkup([NamedCheckResult("clock", Verdict.WARN, "late", "", "")], as_json=False),
        "rich": lambda: rich_console().print("late", style="bold red"),
    }
    monkeypatch.setattr(sys, "stderr", screen)
    configure_logs(log_format="console")
    outputs["log"] = lambda: get_logger("centralcloud.tests").info("late")
    if terminal:
        outputs["table"] = lambda: print_table(("a",), [("b",)], empty="")
    for name, output in outputs.items():
        screen.truncate(0)
        output()
        assert ("\x1b[" in screen.getvalue()) == styled, name


def test_lines_are_wrapped_to_the_terminal_and_stay_styled(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = _screen(monkeypatch, terminal=True)
    print_lines([Line("the learner is late: last run 2 hours ago, 模型", Style.WARNING)], indent="  ")
    assert screen.getvalue().splitlines() == [
        "\x1b[1;33mthe learner is late: last run 2 hours\x1b[0m",
        "\x1b[1;33m  ago, 模型\x1b[0m",
    ]


def test_a_pipe_gets_every_line_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = _screen(monkeypatch, terminal=False)
    print_text("word " * 30)
    assert pipe.getvalue().count("\n") == 1


def test_the_results_of_checks_are_wrapped_below_their_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = _screen(monkeypatch, terminal=True)
    found = "this environment sets no other values than the database has"
    print_checkup([NamedCheckResult("fleet settings", Verdict.OK, found, "look at it " * 5, "")], as_json=False)
    lines = screen.getvalue().replace("\x1b[32mOK\x1b[0m", "OK").splitlines()
    assert max(map(text_width, lines)) <= 40
    assert lines[0].startswith("OK    fleet settings: this")
    assert all(line.startswith(" " * 6) for line in lines[1:-1])
    assert " ".join(" ".join(lines).split()).startswith(f"OK fleet settings: {found} look at it")
