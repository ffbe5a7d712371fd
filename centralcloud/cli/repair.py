"""`centralcloud repair`: raise sequences that are behind their tables, and correct aggregates."""

from collections.abc import Sequence
from typing import Annotated

import typer

from centralcloud.administration import sequence_repair
from centralcloud.cli.arguments import Reason
from centralcloud.cli.context import open_database, read_settings, this_operator
from centralcloud.cli.verify import print_outcome, report, verify_database
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import retry_on_contention
from centralcloud.runtime.terminal.output import AsJson, print_json, print_rows
from centralcloud.runtime.terminal.prompts import confirm
from centralcloud.runtime.wording import counted
from centralcloud.store.operator_actions import Operator
from centralcloud.store.sequences import SequencePosition

app = typer.Typer(
    help="Raise sequences that are behind their tables, and correct aggregates.", invoke_without_command=True
)

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.callback()
def repair(context: typer.Context, yes: Yes = False, reason: Reason = None, json_output: AsJson = False) -> None:
    """Raise every sequence that is behind its table, and correct every aggregate that differs from the records.

    The same as `repair sequences`, then `verify --repair`. Ingest may run meanwhile. Exit code 1 when something still
    differs afterwards.
    """
    if context.invoked_subcommand is not None:
        return
    operator = this_operator(reason)
    with open_database(read_settings(), "repair") as database:
        confirm("Raise sequences and correct aggregates?", yes=yes, otherwise="nothing was repaired")
        repaired = retry_on_contention(lambda: sequence_repair.repair_sequences(database, operator))
        outcome = verify_database(database, operator, repair=True, limit=None, yes=yes)
    if json_output:
        print_json({"sequences": [each._asdict() for each in repaired], "verification": report(outcome)})
    else:
        _print_sequences(repaired)
        print_outcome(outcome, repair=True)
    if not outcome.ok:
        raise typer.Exit(1)


@app.command()
def sequences(yes: Yes = False, reason: Reason = None, json_output: AsJson = False) -> None:
    """Raise every sequence that is behind its table: a logical copy of a database copies tables without sequences.

    Rows are not changed. Ingest may run meanwhile, and waits for a moment.
    """
    operator = this_operator(reason)
    with open_database(read_settings(), "repair") as database:
        repaired = _repair_sequences(database, operator, yes=yes)
    if json_output:
        print_json({"sequences": [each._asdict() for each in repaired]})
    else:
        _print_sequences(repaired)


def _repair_sequences(database: Database, operator: Operator, *, yes: bool) -> list[SequencePosition]:
    behind = sequence_repair.find_sequences_behind(database)
    if not behind:
        return []
    confirm(
        f"Raise {counted(len(behind), 'sequence')} to the greatest number of the table?",
        yes=yes,
        otherwise="no sequence was raised",
        concerned=[str(each) for each in behind],
    )
    return retry_on_contention(lambda: sequence_repair.repair_sequences(database, operator))


def _print_sequences(repaired: Sequence[SequencePosition]) -> None:
    rows = [{"sequence": each.sequence, "was_at": each.last_value, "raised_to": each.newest} for each in repaired]
    print_rows(rows, dict.fromkeys(("sequence", "was_at", "raised_to")), empty="no sequence is behind its table")
