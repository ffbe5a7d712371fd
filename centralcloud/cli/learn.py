"""`centralcloud learn`: one run of the learner."""

from typing import Annotated

import typer

from centralcloud.cli.arguments import Reason
from centralcloud.cli.context import open_database, read_settings, this_operator
from centralcloud.fleet_settings import FleetSettingsSource
from centralcloud.runtime.postgres.errors import retry_on_contention
from centralcloud.runtime.terminal import AsJson, print_json, print_rows
from centralcloud.runtime.wording import counted, printable


def learn(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes; write nothing.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Publish even when more scores move than the safety limits allow.")
    ] = False,
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Run the learner once, now.

    Shows which scores change, and why. By the fleet's rule, as the database has it (`centralcloud settings show`).
    """
    from centralcloud.learning.learner import Learner

    settings = read_settings()
    operator = this_operator(reason)
    with open_database(settings, "learn") as database:
        fleet = FleetSettingsSource(settings)
        if not dry_run:
            fleet.adopt(database)  # before the first daemon this command decides which rule the fleet goes on with
        learner = Learner(database, read_settings=fleet.read)
        result = (
            learner.preview() if dry_run else retry_on_contention(lambda: learner.learn(force=force, operator=operator))
        )
    changes = [change._asdict() for change in result.changes]
    if json_output:
        pairs = [{"model": model, "complexity": complexity} for model, complexity in result.without_outcomes]
        print_json({**result._asdict(), "dry_run": dry_run, "without_outcomes": pairs, "changes": changes})
        return
    columns = ("model", "complexity", "old_score", "new_score", "reason")
    print_rows(changes, dict.fromkeys(columns), empty="no score changes")
    for model, complexity in result.without_outcomes:
        typer.echo(f"{model} ({complexity}) was chosen, but no outcome has been reported")
    for withheld in result.withheld:
        typer.echo(f"nothing was published: {withheld}")
    if result.frozen_reason is not None:
        why = printable(result.frozen_reason) or "no reason given"
        typer.echo(f"nothing was published: publishing is frozen ({why}); `centralcloud unfreeze` ends that")
    for instance in result.quarantined:
        typer.echo(f"{instance} is quarantined: its outcomes differ from those of the fleet and are not counted")
    typer.echo(f"{counted(result.evaluated, 'pair')} evaluated, {result.waiting:,} waiting for more outcomes")
