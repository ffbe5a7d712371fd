"""`centralcloud queue`: the queue of routing events."""

from datetime import datetime
from typing import Annotated, Any

import typer

from centralcloud.administration import decision_queue
from centralcloud.administration.decision_queue import NO_MESSAGES, OldMessages
from centralcloud.cli.arguments import Reason, moment_ago
from centralcloud.cli.context import open_database, read_settings, this_operator
from centralcloud.monitoring.queue_state import queue_state
from centralcloud.runtime.terminal.lines import Line, print_lines
from centralcloud.runtime.terminal.output import AsJson, print_json, print_text
from centralcloud.runtime.terminal.prompts import confirm
from centralcloud.runtime.wording import age, ago, counted, decimals

app = typer.Typer(help="Show the queue of routing events, and purge it.", invoke_without_command=True)
_DAY_SECONDS = 86_400


@app.callback()
def show(
    context: typer.Context,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="How long to measure its growth.")] = 2.0,
    json_output: AsJson = False,
) -> None:
    """Show the queue of routing events: depth, age, size on disk and growth."""
    if context.invoked_subcommand is not None:
        return
    with open_database(read_settings(), "queue") as database:
        state = queue_state(database, measure_seconds=seconds)
    if json_output:
        print_json(state)
        return
    per_day = state["bytes_per_second"] * _DAY_SECONDS
    values = {
        "messages": f"{state['messages']:,}: {state['visible']:,} visible, {state['in_flight']:,} in flight or waiting for "
        f"a retry, {state['delayed']:,} delayed{_until(state)}",
        "oldest": _sent(state["oldest_age_seconds"]),
        "newest": _sent(state["newest_age_seconds"]),
        "size on disk": f"{_bytes(state['bytes_on_disk'])}, {counted(state['dead_rows'], 'dead row')}",
        "sent": f"{decimals(state['sent_per_second'], 1)} per second, over {seconds:g} seconds",
        "ingested": f"{decimals(state['taken_per_second'], 1)} per second",
        "growth": f"{_bytes(per_day)} per day" if per_day > 0 else "none",
    }
    width = max(map(len, values)) + 2
    print_lines((Line(f"{name:<{width}}{value}") for name, value in values.items()), indent=" " * width)


@app.command()
def purge(
    older_than: Annotated[
        str, typer.Option(help="Remove messages that were sent longer ago than this: 90s, 30m, 2h, 7d.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Remove old messages from the queue without ingesting them. They are lost, and counted as purged.

    For a queue that has grown beyond what can be ingested, or beyond the disk.
    """
    before = moment_ago(older_than, "--older-than")
    operator = this_operator(reason)
    with open_database(read_settings(), "queue") as database:
        old = None if yes else decision_queue.count_old(database, before=before)
        if old is not None and old != NO_MESSAGES:
            confirm(_question(old, before), yes=False, otherwise="nothing was purged")
        purged = 0 if old == NO_MESSAGES else decision_queue.purge(database, operator, before=before)
    if json_output:
        print_json({"purged": purged})
    else:
        print_text(f"purged {counted(purged, 'message')}")


def _question(old: OldMessages, before: datetime) -> str:
    number = counted(old.counted, "message") if old.complete else f"at least {counted(old.counted, 'message')}"
    them = "it" if old.complete and old.counted == 1 else "them"
    return f"Remove {number} sent before {before.astimezone().isoformat(' ', 'seconds')}, without ingesting {them}?"


def _until(state: dict[str, Any]) -> str:
    if not state["delayed"]:
        return ""
    first, last = age(state["first_delayed_seconds"]), age(state["last_delayed_seconds"])
    return f", visible in {last}" if first == last else f", visible in {first} to {last}"


def _sent(age_seconds: float | None) -> str:
    return "-" if age_seconds is None else f"sent {ago(age_seconds)}"


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB"):
        if abs(value) < 1024:
            return f"{decimals(value, 1)} {unit}"
        value /= 1024
    return f"{decimals(value, 1)} GB"
