"""`centralcloud status`: the state of the fleet, on one screen."""

import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from centralcloud.cli.context import open_database, read_settings
from centralcloud.monitoring.rule_choices import switch_command
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_outage, summarize_error
from centralcloud.runtime.terminal.emphasis import Style
from centralcloud.runtime.terminal.lines import Line, clear_terminal, print_lines, terminal_height, terminal_width
from centralcloud.runtime.terminal.output import AsJson, print_json
from centralcloud.runtime.wording import ago, and_more, counted, percent, printable

if TYPE_CHECKING:
    from centralcloud.monitoring.daemon_activity import LearnerSchedule

_MOST_LINES = 8
#: A finding that concerns less of the fleet's traffic is counted, and not shown.
_SMALL_TRAFFIC = 0.01
_INDENT = " " * 11
_INDENT_OF_REST = f"{_INDENT}  "


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Show it again at an interval, until Ctrl-C.")] = False,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=60, help="How long to measure rates, and to wait between two screens.")
    ] = 1.0,
    json_output: AsJson = False,
) -> None:
    """Show the state of the fleet: workers, queue, learning, instances, dead letters, findings.

    Says so when no daemon is running, or the learner is late.
    """
    from centralcloud.monitoring.daemon_activity import LearnerSchedule
    from centralcloud.monitoring.status import fleet_status

    settings = read_settings()
    schedule = LearnerSchedule(settings.learn_interval_seconds, settings.learn_schedule)
    with open_database(settings, "status") as database:
        if not watch:
            found = fleet_status(database, measure_seconds=seconds, learner_schedule=schedule)
            if json_output:
                print_json(found)
            else:
                _show(status_lines(found))
        while watch:
            if json_output:
                print_json(fleet_status(database, measure_seconds=seconds, learner_schedule=schedule))
            else:
                lines = read_lines(database, seconds, schedule)
                clear_terminal()
                _show(lines, whole_screen=True)
            time.sleep(seconds)


def read_lines(database: Database, seconds: float, schedule: "LearnerSchedule | None" = None) -> list[Line]:
    """Return the lines to show: the status, or during an outage one line that says so. --watch goes on after an outage."""
    from centralcloud.monitoring.status import fleet_status

    try:
        return list(status_lines(fleet_status(database, measure_seconds=seconds, learner_schedule=schedule)))
    except Exception as error:
        if not is_outage(error):
            raise
        now = datetime.now(UTC).astimezone()
        return [_warning(f"{now:%H:%M:%S}   the database is unavailable: {summarize_error(error)}")]


def _show(lines: Iterable[Line], *, whole_screen: bool = False) -> None:
    """Print lines: unchanged into a pipe, wrapped to the width of a terminal, with `whole_screen` also cut to its height."""
    if whole_screen and sys.stdout.isatty():
        lines = fitted(lines, terminal_width(), terminal_height() - 1)
    print_lines(lines, indent=_INDENT_OF_REST)


def fitted(lines: Iterable[Line], width: int, height: int) -> list[Line]:
    """Wrap `lines` between words to `width` columns, with the rest indented, and keep the first `height` of them."""
    broken = [
        part for line in lines for part in line.wrapped(max(width, 2 * len(_INDENT_OF_REST)), indent=_INDENT_OF_REST)
    ]
    if len(broken) <= height:
        return broken
    shown = max(height - 1, 1)
    return [*broken[:shown], Line(f"{_INDENT}{len(broken) - shown} more lines: enlarge the window to see them")]


def status_lines(found: dict[str, Any]) -> Iterator[Line]:
    """Yield the lines of a fleet's status; names and texts of others in them move no cursor."""
    for line in _raw_lines(found):
        known = Line(line) if isinstance(line, str) else line
        yield known._replace(text=printable(known.text))


def _warning(text: str) -> Line:
    return Line(text, Style.WARNING)


def _raw_lines(found: dict[str, Any]) -> Iterator[str | Line]:
    warnings = {each["check"]: each["found"] for each in found["warnings"]}
    yield from _workers(found["workers"], warnings.get("daemon"))
    yield _queue(found["queue"])
    yield _learning(found["last_run"])
    if late := warnings.get("learning"):
        yield _warning(f"{_INDENT}{late}")
    yield from _shadow_rules(found["shadow_rules"])
    yield from (f"{_INDENT}{each['found']}" for each in found["score_canaries"])
    if problem := warnings.get("experiments"):
        yield _warning(f"{_INDENT}{problem}")
    elif experiments := found["experiments"]["found"]:
        yield f"{_INDENT}{experiments}"
    if found["frozen"]:
        reason = found["frozen"]["reason"] or "no reason given"
        yield _warning(f"{_INDENT}FROZEN {_since(found['frozen']['at'])}: {reason}")
    if found["pins"]:
        yield f"{_INDENT}{counted(found['pins'], 'pinned score')}"
    behind = found["instances_behind"]
    yield (
        f"instances  {found['instances']:,} seen within a day, {len(behind)} behind version {found['newest_version']}"
    )
    yield from _indented(
        f"{each['instance_id']} is at version {each['applied_version']}, seen {_since(each['last_seen_at'])}"
        for each in behind
    )
    yield _dead_letters(found["dead_letters"])
    yield f"findings   {len(found['findings'])} open"
    yield from _findings(found["findings"])
    moved = found["moved_scores"]
    yield f"moved      {counted(len(moved), 'score') if moved else 'no scores'} within a day"
    yield from _indented(
        f"{each['model']} ({each['complexity']}): {each['score_before']:.3f} -> {each['score_now']:.3f}"
        for each in moved
    )


def _workers(workers: list[dict[str, Any]], warning: str | None) -> Iterator[str | Line]:
    """The workers that are running, by host; those that stopped without deregistering are counted."""
    running = [each for each in workers if each["running"]]
    stopped = [each for each in workers if not each["running"]]
    if warning:  # it names the worker that was seen last
        yield _warning(f"workers    {warning}")
        return
    yield f"workers    {counted(len(running), 'worker')} on {', '.join(sorted({each['host'] for each in running}))}"
    if stopped:
        newest = max((each["seen_at"] for each in stopped), key=datetime.fromisoformat)
        yield f"{_INDENT}{len(stopped)} stopped, last seen {_since(newest)}"


def _queue(queue: dict[str, Any]) -> str:
    oldest = queue["oldest_age_seconds"]
    delayed = f"{queue['delayed']:,} delayed, " if queue["delayed"] else ""
    sent = "" if oldest is None else f"{delayed}the oldest sent {ago(oldest)}; "
    rates = f"{queue['sent_per_second']:,.0f} sent and {queue['taken_per_second']:,.0f} ingested a second"
    return f"queue      {counted(queue['messages'], 'message')}, {sent}{rates}"


def _learning(run: dict[str, Any] | None) -> str:
    if run is None:
        return "learning   no run yet"
    without = f", without {', '.join(run['excluded_instances'])}" if run["excluded_instances"] else ""
    return (
        f"learning   {run['rule']}, last run {_since(run['finished_at'])}: "
        f"{counted(run['pairs_evaluated'], 'pair')} evaluated, {counted(run['pairs_changed'], 'score')} changed{without}"
    )


def _shadow_rules(shadows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each rule in the shadow: its other choices, and the command that switches to it."""
    for each in shadows:
        differs = not all(choice["same"] for choice in each["choices"])
        switch = f" ({switch_command(each['rule'])})" if differs else ""
        yield f"{_INDENT}{each['found']}{switch}"


def _dead_letters(open_by_field: dict[str, int]) -> str:
    if not open_by_field:
        return "letters    no dead letters open"
    fields = ", ".join(f"{count:,} for {field}" for field, count in open_by_field.items())
    return f"letters    {counted(sum(open_by_field.values()), 'dead letter')} open: {fields}"


def _findings(findings: list[dict[str, Any]]) -> Iterator[str]:
    """The findings that concern the most traffic, then how much the others concern. They are sorted by it."""
    large = [each for each in findings if each["traffic_share"] is None or each["traffic_share"] >= _SMALL_TRAFFIC]
    shown = (large or findings[:1])[:_MOST_LINES]
    for each in shown:
        share = each["traffic_share"]
        traffic = "" if share is None else f"{percent(share)} of traffic, "
        yield f"{_INDENT}{traffic}{each['kind']} {_since(each['opened_at'])}: {each['message']}"
    rest = findings[len(shown) :]
    if not rest:
        return
    most = rest[0]["traffic_share"]
    concern = "" if most is None else f" that concern{'s' if len(rest) == 1 else ''} {_at_most(most, len(rest))}"
    yield f"{_INDENT}{and_more(len(rest))}{concern}: `centralcloud findings` shows them"


def _at_most(share: float, findings: int) -> str:
    return f"{percent(share)} of traffic" if findings == 1 else f"at most {percent(share)} of traffic each"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    rest = list(lines)
    for line in rest[:_MOST_LINES]:
        yield f"{_INDENT}{line}"
    if len(rest) > _MOST_LINES:
        yield f"{_INDENT}{and_more(len(rest) - _MOST_LINES)}"


def _since(text: str) -> str:
    return ago((datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds())
