"""`centralcloud learn`: one run of the learner."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from centralcloud.cli.arguments import Reason, in_order
from centralcloud.cli.context import open_database, read_settings, this_operator
from centralcloud.contracts import SettingsError
from centralcloud.fleet_settings import FleetSettingsSource
from centralcloud.runtime.postgres.errors import retry_on_contention
from centralcloud.runtime.terminal.output import AsJson, print_json, print_rows, print_text
from centralcloud.runtime.wording import ago, counted

if TYPE_CHECKING:
    from centralcloud.administration.score_overrides import Freeze


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
    from centralcloud.administration.score_canaries import ScoreCanaries
    from centralcloud.administration.score_overrides import read_freeze
    from centralcloud.learning.learner import Learner

    if reason is not None and (dry_run or not force):
        raise SettingsError("--reason: found no --force, expected it: only a forced run is written to the log")
    if dry_run and force:
        raise SettingsError("found --dry-run together with --force, expected one of them: a dry run publishes nothing")
    settings = read_settings()
    operator = this_operator(reason)
    with open_database(settings, "learn") as database:
        fleet = FleetSettingsSource(settings)
        if not dry_run:
            fleet.adopt(database)  # before the first daemon this command decides which rule the fleet goes on with
        learner = Learner(database, read_settings=fleet.read, gate=ScoreCanaries())
        result = (
            learner.preview() if dry_run else retry_on_contention(lambda: learner.learn(force=force, operator=operator))
        )
        with database.transaction() as connection:
            freeze = read_freeze(connection)
    changes = [change._asdict() for change in result.changes]
    if json_output:
        pairs = [{"model": model, "complexity": complexity} for model, complexity in result.without_outcomes]
        print_json(
            {
                **result._asdict(),
                "dry_run": dry_run,
                "without_outcomes": pairs,
                "changes": changes,
                "held": [change._asdict() for change in result.held],
                "frozen": freeze and freeze._asdict(),
            }
        )
        return
    columns = ("model", "complexity", "old_score", "new_score", "reason")
    empty = "no score changes" if freeze is None else _frozen(freeze)
    print_rows(in_order(changes), dict.fromkeys(columns), empty=empty, texts=("reason",))
    for model, complexity in result.without_outcomes:
        print_text(f"{model} ({complexity}) was chosen, but no outcome has been reported")
    for withheld in result.withheld:
        print_text(f"nothing was published: {withheld}")
    if result.held:
        waits = "waits" if len(result.held) == 1 else "wait"
        print_text(f"{counted(len(result.held), 'score')} {waits}: {'; '.join(result.held_because)}")
    for instance in result.quarantined:
        print_text(f"{instance} is quarantined: its outcomes differ from those of the fleet and are not counted")
    print_text(f"{counted(result.evaluated, 'pair')} evaluated, {result.waiting:,} waiting for more outcomes")


def _frozen(freeze: "Freeze") -> str:
    since = ago((datetime.now(UTC) - freeze.frozen_at).total_seconds())
    by = f" by {freeze.who}" if freeze.who else ""
    return f"no score is published: frozen {since}{by} ({freeze.reason}); `centralcloud unfreeze` ends it"
