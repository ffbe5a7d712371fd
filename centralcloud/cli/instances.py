"""`centralcloud instances`: the instances that apply the scores."""

from typing import Annotated

import typer

from centralcloud.administration import instances
from centralcloud.cli.arguments import Reason
from centralcloud.cli.context import open_database, read_settings, this_operator
from centralcloud.runtime.commands.arguments import utf8
from centralcloud.runtime.terminal.output import AsJson, print_json, print_rows, print_text

app = typer.Typer(
    help="Show and forget instances.\n\nWithout a command: `list`.",
    invoke_without_command=True,
)


@app.callback()
def instances_group(context: typer.Context, json_output: AsJson = False) -> None:
    """Show and forget instances."""
    if context.invoked_subcommand is None:
        list_command(json_output=json_output)


@app.command("list")
def list_command(json_output: AsJson = False) -> None:
    """List the instances: the version each has applied, how far it is behind, its outcomes of the last 24 hours."""
    with open_database(read_settings(), "instances") as database, database.transaction() as connection:
        rows = instances.list_instances(connection)
    if json_output:
        print_json(rows)
        return
    columns = (
        "instance_id", "applied_version", "versions_behind", "first_seen_at", "last_seen_at", "outcomes_last_24_hours",
        "quarantined",
    )  # fmt: skip
    print_rows(rows, dict.fromkeys(columns), empty="no instance has acknowledged a score yet")


@app.command()
def forget(
    instance_id: Annotated[str, typer.Argument(metavar="ID", help="An id that `list` shows.")],
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Forget an instance that no longer exists, so that it no longer counts as behind.

    Its outcomes stay. It comes back when it acknowledges scores again.
    """
    utf8(instance_id, "ID")
    operator = this_operator(reason)
    with open_database(read_settings(), "instances") as database, database.transaction() as connection:
        instances.forget_instance(connection, instance_id, operator)
    if json_output:
        print_json({"instance_id": instance_id, "forgotten": True})
    else:
        print_text(f"forgot {instance_id}")
