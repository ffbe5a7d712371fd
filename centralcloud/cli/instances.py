"""`centralcloud instances`: who applies the scores."""

from typing import Annotated

import typer

from centralcloud.administration import instances as names
from centralcloud.cli.arguments import utf8
from centralcloud.cli.context import open_database, read_settings
from centralcloud.runtime.cli import AsJson, print_json, print_rows

app = typer.Typer(help="Show the instances that apply the scores, and forget those that are gone.")


@app.command("list")
def list_command(json_output: AsJson = False) -> None:
    """List the instances: what each has applied, how far it is behind, and what came of it in the last 24 hours."""
    with open_database(read_settings(), "instances") as database, database.transaction() as connection:
        rows = names.list_instances(connection)
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
) -> None:
    """Forget an instance that is gone for good, so that it no longer counts as behind.

    What it reported stays. It comes back when it acknowledges scores again.
    """
    utf8(instance_id, "ID")
    with open_database(read_settings(), "instances") as database, database.transaction() as connection:
        names.forget_instance(connection, instance_id)
    typer.echo(f"forgot {instance_id}")
