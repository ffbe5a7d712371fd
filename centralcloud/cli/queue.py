"""`centralcloud queue`: the queue of routing events."""

from typing import Annotated

import typer

from centralcloud.administration import decision_queue
from centralcloud.cli.arguments import Reason, ago
from centralcloud.cli.context import open_database, read_settings, this_operator
from centralcloud.monitoring.queue_state import queue_state
from centralcloud.runtime.terminal.output import AsJson, print_json, print_line
from centralcloud.runtime.terminal.prompts import confirm
from centralcloud.runtime.wording import counted

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
    print_line(
        f"messages      {state['messages']:,}: {state['visible']:,} visible, {state['in_flight']:,} in flight or waiting "
        f"for a retry, {state['delayed']:,} delayed"
    )
    print_line(f"oldest        {_seconds(state['oldest_age_seconds'])}")
    print_line(f"newest        {_seconds(state['newest_age_seconds'])}")
    print_line(f"size on disk  {_bytes(state['bytes_on_disk'])}, {state['dead_rows']:,} dead rows")
    print_line(f"sent          {state['sent_per_second']:,.1f} per second, over {seconds:g} seconds")
    print_line(f"ingested      {state['taken_per_second']:,.1f} per second")
    per_day = state["bytes_per_second"] * _DAY_SECONDS
    print_line(f"growth        {_bytes(per_day)} per day" if per_day > 0 else "growth        none")


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
    before = ago(older_than, "--older-than")
    operator = this_operator(reason)
    with open_database(read_settings(), "queue") as database:
        question = f"Remove every message sent before {before.astimezone():%Y-%m-%d %H:%M:%S}, without ingesting it?"
        confirm(question, yes=yes, otherwise="nothing was purged")
        purged = decision_queue.purge(database, operator, before=before)
    if json_output:
        print_json({"purged": purged})
    else:
        print_line(f"purged {counted(purged, 'message')}")


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    for unit, length in (("days", _DAY_SECONDS), ("hours", 3600), ("minutes", 60)):
        if value >= 2 * length:
            return f"{value / length:,.1f} {unit} ago"
    return f"{value:,.1f} seconds ago"


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB"):
        if abs(value) < 1024:
            return f"{value:,.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} GB"
