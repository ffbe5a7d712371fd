"""`centralcloud status`: how the fleet is doing, on one screen."""

import sys
import textwrap
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from centralcloud.cli.context import open_database, read_settings
from centralcloud.runtime.cli import AsJson, print_json
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_outage, summarize_error

_MOST_LINES = 8
_INDENT = " " * 11


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Show it again and again, until Ctrl-C.")] = False,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=60, help="How long to measure rates, and between two looks.")
    ] = 1.0,
    json_output: AsJson = False,
) -> None:
    """Show how the fleet is doing: workers, queue, learning, instances, dead letters, findings."""
    from centralcloud.monitoring.status import fleet_status

    with open_database(read_settings(), "status") as database:
        if not watch:
            found = fleet_status(database, measure_seconds=seconds)
            if json_output:
                print_json(found)
            else:
                _show(_lines(found))
        while watch:
            if json_output:
                print_json(fleet_status(database, measure_seconds=seconds))
            else:
                lines = look(database, seconds)
                Console().clear()
                _show(lines, whole_screen=True)
            time.sleep(seconds)


def look(database: Database, seconds: float) -> list[str]:
    """What there is to show, or why there is nothing: who watches wants to see it come back."""
    from centralcloud.monitoring.status import fleet_status

    try:
        return list(_lines(fleet_status(database, measure_seconds=seconds)))
    except Exception as error:
        if not is_outage(error):
            raise
        return [f"{datetime.now(UTC).astimezone():%H:%M:%S}   the database does not answer: {summarize_error(error)}"]


def _show(lines: Iterable[str], *, whole_screen: bool = False) -> None:
    """Print lines: as they are into a pipe, on a terminal as wide as it is, and with `whole_screen` no more than fit."""
    if sys.stdout.isatty():
        width, height = Console().size
        lines = fitted(lines, width, height - 1 if whole_screen else None)
    for line in lines:
        typer.echo(line)


def fitted(lines: Iterable[str], width: int, height: int | None = None) -> list[str]:
    """`lines` broken between words to `width` columns, their rest indented; the first `height` of them, if they are more."""
    broken = [
        part
        for line in lines
        for part in textwrap.wrap(line, max(width, 2 * len(_INDENT)), subsequent_indent=f"{_INDENT}  ") or [""]
    ]
    if height is None or len(broken) <= height:
        return broken
    shown = max(height - 1, 1)
    return [*broken[:shown], f"{_INDENT}{len(broken) - shown} more lines: a larger window shows them"]


def _lines(found: dict[str, Any]) -> Iterator[str]:
    queue, run = found["queue"], found["last_run"]
    workers = found["workers"]
    yield f"workers    {len(workers)} taking events in: {', '.join(sorted({each['host'] for each in workers})) or 'none'}"
    yield (
        f"queue      {queue['messages']:,} messages, the oldest {_age(queue['oldest_age_seconds'])}; "
        f"{queue['sent_per_second']:,.0f} sent and {queue['taken_per_second']:,.0f} taken in a second"
    )
    if run is None:
        yield "learning   no run yet"
    else:
        without = f", without {', '.join(run['excluded_instances'])}" if run["excluded_instances"] else ""
        yield (
            f"learning   {run['rule']}, {_since(run['finished_at'])}: {run['pairs_evaluated']} pairs evaluated, "
            f"{run['pairs_changed']} scores changed{without}"
        )
    if found["frozen"]:
        yield f"{_INDENT}FROZEN {_since(found['frozen']['at'])}: {found['frozen']['reason']}"
    if found["pins"]:
        yield f"{_INDENT}{found['pins']} scores are pinned"
    behind = found["instances_behind"]
    yield f"instances  {found['instances']} seen within a day, {len(behind)} behind version {found['newest_version']}"
    yield from _indented(
        f"{each['instance_id']} is at {each['applied_version']}, seen {_since(each['last_seen_at'])}" for each in behind
    )
    letters = found["dead_letters"]
    by_field = ": " + ", ".join(f"{count} for {field}" for field, count in letters.items()) if letters else ""
    yield f"letters    {sum(letters.values()):,} dead letters open{by_field}"
    yield f"findings   {len(found['findings'])} open"
    yield from _indented(f"{each['kind']} {_since(each['opened_at'])}: {each['message']}" for each in found["findings"])
    yield f"moved      {len(found['moved_scores']) or 'no'} scores within a day"
    yield from _indented(
        f"{each['model']} ({each['complexity']}): {each['score_before']:.3f} -> {each['score_now']:.3f}"
        for each in found["moved_scores"]
    )


def _indented(lines: Iterator[str]) -> Iterator[str]:
    rest = list(lines)
    for line in rest[:_MOST_LINES]:
        yield f"{_INDENT}{line}"
    if len(rest) > _MOST_LINES:
        yield f"{_INDENT}and {len(rest) - _MOST_LINES} more"


def _since(text: str) -> str:
    return _age((datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds())


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit} ago"
    return f"{max(seconds, 0.0):,.0f} seconds ago"
