"""`centralcloud findings`: findings for an operator."""

from typing import Annotated, Any

import typer

from centralcloud.cli.context import open_database, read_settings
from centralcloud.contracts import SettingsError
from centralcloud.runtime.terminal.output import AsJson, print_json, print_rows
from centralcloud.runtime.wording import percent


def findings(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are closed.")] = False,
    kind: Annotated[str | None, typer.Option(help="Only these, such as slow.")] = None,
    json_output: AsJson = False,
) -> None:
    """Show open findings, those that concern the most traffic first.

    Traffic is the share of the fleet's decisions of the last 24 hours. The daemon looks for findings whenever the learner
    runs.
    """
    from centralcloud.monitoring.finding_detector import ALL_KINDS, list_findings

    if kind is not None and kind not in ALL_KINDS:
        raise SettingsError(f"--kind: found {kind!r}, expected one of {', '.join(ALL_KINDS)}")
    with open_database(read_settings(), "findings") as database, database.transaction() as connection:
        rows = list_findings(connection, with_closed=everything, kind=kind)
    if json_output:
        print_json(rows)
        return
    rows = [{"traffic": row["traffic_share"], **row} for row in rows]
    columns: dict[str, Any] = {"traffic": percent, **dict.fromkeys(("kind", "subject", "opened_at"))}
    if everything:
        columns["closed_at"] = None
    columns["message"] = None
    print_rows(rows, columns, empty="no findings" if everything else "no open findings", texts=("message",))
