"""The help of both programs: one table, which agrees with the commands and does not import them."""

import runpy
import subprocess
import sys
from collections.abc import Mapping
from itertools import chain
from typing import Any

import pytest
import typer
from support.repository import REPOSITORY
from typer.testing import CliRunner

import centralcloud.cli.app
import instance_agent.cli.app
from centralcloud import __version__
from centralcloud.runtime.commands.completion import Shell
from centralcloud.runtime.commands.group import Command

PROGRAMS = {"centralcloud": centralcloud.cli.app, "instance-agent": instance_agent.cli.app}
WHOLE = 1000


@pytest.fixture(params=list(PROGRAMS))
def program(request: pytest.FixtureRequest) -> str:
    return request.param


def table(program: str) -> Mapping[str, tuple[Command, ...]]:
    return PROGRAMS[program].COMMANDS


def group(program: str) -> Any:
    return typer.main.get_command(PROGRAMS[program].app)


def test_each_line_of_the_table_is_the_docstring_of_its_command(program: str) -> None:
    commands = group(program).commands
    for line in chain(*table(program).values()):
        assert commands[line.name].get_short_help_str(WHOLE) == line.help


def test_every_module_of_commands_is_in_the_table() -> None:
    modules = {file.stem for file in (REPOSITORY / "centralcloud/cli").glob("*.py")}
    used = {command.module.rpartition(".")[2] for command in chain(*table("centralcloud").values())}
    assert modules - {"__init__", "app", "arguments", "context", "experiment_options"} == used - {"completion"}


def test_the_help_shows_headings_and_whole_lines_in_80_columns(program: str) -> None:
    result = CliRunner().invoke(PROGRAMS[program].app, ["--help"], env={"COLUMNS": "80"}, prog_name=program)
    assert result.exit_code == 0
    text = result.output
    assert "..." not in text.replace("[ARGS]...", "")
    assert max(len(line) for line in text.splitlines()) <= 80
    places = [text.index(f"\n{title}:\n") for title in table(program)]
    assert places == sorted(places)
    for line in chain(*table(program).values()):
        assert f"  {line.name} " in text
        assert line.help in " ".join(text.split())


def test_the_commands_come_in_the_order_of_use() -> None:
    names = [command.name for command in chain(*table("centralcloud").values())]
    assert names[:4] == ["run", "status", "doctor", "scores"]


def test_no_line_of_a_group_of_commands_is_cut(program: str) -> None:
    for name, command in group(program).commands.items():
        for path in [[name], *([name, sub] for sub in getattr(command, "commands", {}))]:
            text = CliRunner().invoke(PROGRAMS[program].app, [*path, "--help"], env={"COLUMNS": "80"}).output
            commands = text.partition("Commands:")[2]
            assert "..." not in commands, path


@pytest.mark.parametrize(
    ("argv", "absent"),
    [
        (["centralcloud", "--help"], {"psycopg", "pydantic", "structlog", "rich", "numpy", "centralcloud.cli.run"}),
        (["centralcloud", "freeze", "--help"], {"sqlalchemy", "aiohttp", "rich.live", "centralcloud.cli.run"}),
        (["instance-agent", "--help"], {"psycopg", "pydantic", "structlog", "rich", "instance_agent.commands"}),
    ],
)
def test_a_help_imports_only_what_it_shows(argv: list[str], absent: set[str]) -> None:
    script = (
        f"import sys; sys.argv = {argv!r}\n"
        f"from {'centralcloud.cli.app' if argv[0] == 'centralcloud' else 'instance_agent.cli.app'} import main\n"
        "try: main()\n"
        f"finally: print(sorted({absent!r} & set(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stderr == "[]\n"


@pytest.mark.parametrize(("program", "reloads"), [("centralcloud", False), ("instance_agent", True)])
def test_a_program_has_its_signals_before_it_imports_what_takes_long(program: str, reloads: bool) -> None:
    """A signal in the first tenth of a second would end it by the default action, also one that asks for a reload."""
    script = (
        f"import signal, sys; sys.argv = [{program!r}, 'run']\n"
        f"import {program}.cli\n"
        "before = set(sys.modules)\n"
        "class Stop:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == '{program}.cli.app':\n"
        "            handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]\n"
        "            print([each is signal.SIG_IGN or callable(each) for each in handlers])\n"
        "            print(sorted({'typer', 'click', 'pydantic', 'psycopg', 'asyncio'} & before))\n"
        "            sys.exit()\n"
        "sys.meta_path.insert(0, Stop())\n"
        f"{program}.cli.main()\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == f"{[True, True, reloads]}\n[]\n"


@pytest.mark.parametrize("package", ["centralcloud", "instance_agent"])
def test_a_package_runs_as_its_program(package: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """`python -m`, where the folder of the programs is not on the PATH."""
    monkeypatch.setattr(sys, "argv", [package, "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(package, run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{package.replace('_', '-')} {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["completion", "tcsh"], "Invalid value for 'shell': 'tcsh' is not one of 'bash', 'zsh', 'fish'."),
        (["scores", "history", "--limit", "x"], "Invalid value for '--limit': found \"x\", expected a whole number"),
        (["queue", "--seconds", "9999"], "Invalid value for '--seconds': found \"9999\", expected at most 600"),
    ],
)
def test_a_wrong_value_is_refused_in_our_words(arguments: list[str], line: str, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["centralcloud", *arguments])
    with pytest.raises(SystemExit) as ended:
        PROGRAMS["centralcloud"].main()
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (error,) = printed.err.splitlines()
    assert error.startswith(f"centralcloud: {line} (try centralcloud ")


def test_an_unknown_command_gets_a_suggestion(program: str) -> None:
    result = CliRunner().invoke(PROGRAMS[program].app, ["docto"])
    assert result.exit_code == 2
    assert "Did you mean 'doctor'?" in result.output


def test_every_shell_gets_its_script(program: str) -> None:
    variable = f"_{program.replace('-', '_').upper()}_COMPLETE=complete_"
    for shell in Shell:
        result = CliRunner().invoke(PROGRAMS[program].app, ["completion", shell.value], prog_name=program)
        assert result.exit_code == 0
        assert f"{variable}{shell.value}" in result.output


def test_bash_completes_commands_and_options() -> None:
    """As bash does it: the script defines a function, which the key calls with the words of the line."""
    script = """
        complete_line() {
            COMP_WORDS=($1 "$2"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _centralcloud_completion centralcloud
            echo "${COMPREPLY[@]}"
        }
        eval "$(centralcloud completion bash)"
        complete_line "centralcloud" "s"
        complete_line "centralcloud scores" "--"
    """
    path = {"PATH": f"{sys.prefix}/bin:/usr/bin:/bin"}
    result = subprocess.run(["bash", "-euc", script], env=path, capture_output=True, text=True, check=False)
    assert (result.stderr, result.stdout.splitlines()) == (
        "",
        ["status scores settings simulate", "--compare --task-types --json --help"],
    )
