"""Shared by both command lines: one line for an error, and the right exit code."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from centralcloud import __version__
from centralcloud.contracts import CentralCloudError
from centralcloud.contracts.errors import quote
from centralcloud.runtime.commands.completion import prepare_completion
from centralcloud.runtime.commands.group import Command, ProgramGroup
from centralcloud.runtime.logs import end_logs
from centralcloud.runtime.terminal.results import forget_result, printing, unprinted_result
from centralcloud.runtime.terminal.streams import escape_unencodable_output
from centralcloud.runtime.wording import printable

if TYPE_CHECKING:
    import psycopg

_WRONG_USAGE: Final = 2
_FAILED: Final = 1
_RIGHTS_ADVICE: Final = (
    "`centralcloud grants --apply`, as the owner of the tables, gives each role its rights, after every migration, too; "
    "the commands of operators need those of centralcloud_worker"
)
_NONE: Final[Mapping[str, str]] = {}


def new_app(
    purpose: str,
    settings: str,
    commands: Mapping[str, tuple[Command, ...]],
    commands_elsewhere: Mapping[str, str] = _NONE,
) -> typer.Typer:
    """Create a command line.

    Args:
        purpose: of the program, for its help.
        settings: the settings that it needs, for its help.
        commands: under the headings of the help, all in the order of the help.
        commands_elsewhere: see `ProgramGroup`.
    """

    class Program(ProgramGroup):
        sections = commands
        elsewhere = commands_elsewhere

    app = typer.Typer(
        cls=Program,
        help=f"{purpose}\n\n{settings} Exit codes: 0 done, 1 failed, 2 wrong usage or settings.",
        no_args_is_help=True,
        add_completion=False,  # the command `completion` names the shell, which Typer's options would guess
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    @app.callback()
    def program(
        version: Annotated[
            bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
        ] = False,
    ) -> None:
        del version  # shown by its callback

    return app


def _show_version(context: typer.Context, show: bool) -> None:
    if show:
        typer.echo(f"{context.find_root().info_name} {__version__}")
        raise typer.Exit


def run_app(app: typer.Typer, name: str, *, needs: Callable[[], None] | None = None) -> None:
    """Run a command line and end the process: 0 done, 1 failed work, 2 wrong usage or settings, 130 interrupted.

    A mistake of the operator is one line on standard error. A traceback means a bug in the program.

    Args:
        needs: checks, before anything is printed, that what the program needs is installed. `--version` works without.
    """
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for the rest of the process
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    escape_unencodable_output()
    forget_result()
    ignore_variables_of_others()
    try:
        if needs and sys.argv[1:] != ["--version"]:
            needs()
        prepare_completion(name)
        code = app(prog_name=name, standalone_mode=False)
        with printing():
            sys.stdout.flush()
    except CentralCloudError as error:
        code = _print_error(name, str(error), error.exit_code)
    except typer.Abort:  # the end of the input at a prompt
        code = _print_error(name, "aborted: the input has ended", _FAILED)
    except OSError as error:
        # Usually a full disk behind our output, or a reader that is gone. Python must not report it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = _FAILED
        if (result := unprinted_result()) is not None:
            _print_error(name, result, _FAILED)
        elif not isinstance(error, BrokenPipeError):
            _print_error(name, str(error), _FAILED)
    except SystemExit:  # of typer, when the reader of our output is gone
        if (result := unprinted_result()) is not None:
            _print_error(name, result, _FAILED)
        raise
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a class of typer's own copy of click
            typer.echo(str(error), err=True)
            code = _WRONG_USAGE
        elif (usage := _usage_message(error)) is not None:
            code = _print_error(name, usage, _WRONG_USAGE)
        elif (reason := _database_reason(error)) is not None:
            code = _print_error(name, reason, _FAILED)
        else:
            raise
    sys.exit(code if isinstance(code, int) else 0)


def ignore_variables_of_others() -> None:
    """Remove what the environment says to another program's metrics: ours would be written into its folder, or not start."""
    for name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
        os.environ.pop(name, None)


def _database_reason(error: Exception) -> str | None:
    """Return the text for an error of the database; None for any other error."""
    import psycopg  # takes as long as all else that `--help` needs

    from centralcloud.runtime.postgres.errors import is_row_security, refused_login, summarize_error

    if not isinstance(error, psycopg.Error):
        return None
    if (refused := refused_login(error)) is not None:
        return str(refused)
    reason = f"{_describe(error)}: {summarize_error(error)}"
    lacks_right = isinstance(error, psycopg.errors.InsufficientPrivilege) and not is_row_security(error)
    return f"{reason}: {_RIGHTS_ADVICE}" if lacks_right else reason


def _describe(error: "psycopg.Error") -> str:
    import psycopg

    from centralcloud.runtime.postgres.errors import is_contention, is_outage, is_row_security

    if is_row_security(error):
        return "row-level security hides rows of a table from this role"
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return "this login lacks a right"
    if is_contention(error):
        return "blocked by another transaction (`centralcloud doctor` names it)"
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return "the database is read-only"
    if isinstance(error, psycopg.errors.QueryCanceled):
        return "the server cancelled the statement"
    if isinstance(error, psycopg.errors.UndefinedTable):
        return "a table is missing (`centralcloud doctor` says which)"
    return "the database is unavailable" if is_outage(error) else "the database rejects the statement"


def _usage_message(error: Exception) -> str | None:
    """Return the text of a usage error; None for any other error. Typer brings its own copy of click."""
    format_message = getattr(error, "format_message", None)
    if format_message is None:
        return None
    text = " ".join(_worded(error, format_message()).split())
    if re.match(r"-\.?\d", getattr(error, "option_name", "")):
        text += "; put -- before a value that begins with -"
    context = getattr(error, "ctx", None)
    command = context.command_path.split(" ", 1)[1:] if context else []
    hint = " ".join(["try", context.command_path if command else context.info_name, "--help"]) if context else ""
    return f"{text}{f' ({hint})' if hint else ''}"


def _worded(error: Exception, text: str) -> str:
    """Put our words into a usage error in the place of pydantic's, by which Typer checks values."""
    read_errors = getattr(error.__cause__, "errors", None)
    if read_errors is None:
        return text
    from centralcloud.runtime.validation import expectation

    first = read_errors()[0]
    expected = expectation(first)
    if expected.startswith("expected "):
        expected = f"found {quote(first['input'])}, {expected}"
    return text.replace(str(getattr(error, "message", "")), expected)


def _print_error(name: str, message: str, code: int) -> int:
    end_logs()
    print(printable(f"{name}: {message}"), file=sys.stderr)  # noqa: T201 - texts of others are in messages
    return code
