"""`centralcloud report`: the weekly review."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from centralcloud.cli.arguments import parse_moment
from centralcloud.cli.context import open_database, read_settings
from centralcloud.contracts import SettingsError
from centralcloud.runtime.terminal.output import AsJson, print_json, print_line

if TYPE_CHECKING:
    from centralcloud.dashboard.report.reading import Report

_DEFAULT_LENGTH: Final = timedelta(days=7)
_LOCAL_ZONE: Final = Path("/etc/localtime")


def report(
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write an HTML page for mail and print to this file; - is standard output."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="From then on: 2026-11-20T14:00, or an age like 24h; by default 7d.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Until then, by default now.")] = None,
    json_output: AsJson = False,
) -> None:
    """Show the review of a week, or write it as a page.

    It says where requests went, with success, times and costs; incidents and what they cost; what learning changed and what
    that was worth; what experiments found; budgets, recommendations. The time begins and ends at full hours (UTC); the hour
    that runs ends now. It reads in one transaction, and needs only the rights of centralcloud_dashboard.
    """
    if html is not None and json_output:
        raise SettingsError("found --html and --json, expected one of them")
    end = parse_moment(until, "--until") if until else datetime.now(UTC)
    start = parse_moment(since, "--since") if since else end - _DEFAULT_LENGTH
    if start >= datetime.now(UTC):
        raise SettingsError(f"--since: found {since!r}, expected a time in the past")
    if start >= end:
        raise SettingsError(
            f"found --since {start:%Y-%m-%dT%H:%M} after --until {end:%Y-%m-%dT%H:%M}, expected a time before it"
        )
    found = _read(start, end)
    _write(found, html, json_output=json_output)


def _read(since: datetime, until: datetime) -> "Report":
    from centralcloud.dashboard.report.reading import read_report

    # A person can interrupt it; a mailed one may take its time.
    with open_database(read_settings(), "report") as database, database.transaction(limit_seconds=None) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return read_report(connection, since, until)


def _write(found: "Report", html: Path | None, *, json_output: bool) -> None:
    from centralcloud.dashboard.report.html import report_html
    from centralcloud.dashboard.report.sections import nothing_to_report
    from centralcloud.dashboard.report.text import report_lines

    zone = local_zone()
    empty = nothing_to_report(found, zone)
    if json_output:
        from centralcloud.dashboard.report.recommendations import recommendations

        print_json({**as_json(found), "recommendations": as_json(() if empty else recommendations(found))})
    elif html is not None:
        _write_file(html, report_html(found, zone, empty=empty))
        if empty:
            print_line(empty, err=True)
    else:
        _print(report_lines(found, zone) if empty is None else [empty])


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print_line(line)


def _write_file(path: Path, text: str) -> None:
    if str(path) == "-":
        _print(text.splitlines())
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"--html: cannot write {path}: {error.strerror or error}") from None


def as_json(value: Any) -> Any:
    """Return named tuples as objects, with the names of their fields."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: as_json(each) for name, each in value._asdict().items()}
    if isinstance(value, tuple | list):
        return [as_json(each) for each in value]
    return value


def local_zone() -> ZoneInfo:
    """Return the time zone of this machine by name, as TZ or the link /etc/localtime has it; else UTC."""
    name = os.environ.get("TZ", "").removeprefix(":")
    if not name and _LOCAL_ZONE.is_symlink():
        name = str(_LOCAL_ZONE.resolve()).partition("zoneinfo/")[2]
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
