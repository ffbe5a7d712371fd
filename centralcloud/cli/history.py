"""`centralcloud history`: the log of operators' actions."""

import json
from typing import Annotated, Any, Final

import typer

from centralcloud.cli.arguments import parse_moment, refuse_empty
from centralcloud.cli.context import open_database, read_settings
from centralcloud.contracts import SettingsError
from centralcloud.runtime.commands.arguments import utf8
from centralcloud.runtime.terminal.output import AsJson, print_json, print_rows
from centralcloud.store.operator_actions import Action, list_actions

_LONGEST: Final = 120


def history(
    subject: Annotated[
        str | None, typer.Option(help="Only about this: a model, model/complexity, an instance, a setting ...")
    ] = None,
    action: Annotated[str | None, typer.Option(help=f"Only these: {', '.join(Action)}.")] = None,
    since: Annotated[str | None, typer.Option(help="Since then: 2026-11-20T14:00, or an age like 2h or 7d.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most this many, the newest ones.")] = 50,
    json_output: AsJson = False,
) -> None:
    """Show what operators and migrations changed, newest first.

    Each row says who changed what, from where, and why. A migration names itself and its revision. The log is never trimmed.
    """
    if action is not None and action not in list(Action):
        raise SettingsError(f"--action: found {action!r}, expected one of {', '.join(Action)}")
    refuse_empty(subject, "--subject", "a subject")
    start = parse_moment(since, "--since") if since else None
    with open_database(read_settings(), "history") as database, database.transaction() as connection:
        rows = list_actions(
            connection,
            subject=utf8(subject, "--subject"),
            action=Action(action) if action else None,
            since=start,
            limit=limit,
        )
    if json_output:
        print_json(rows)
        return
    columns = {
        "at": None, "who": None, "source": None, "action": None, "subject": None, "before": _worded, "after": _worded,
        "reason": None,
    }  # fmt: skip
    empty = "no operator has changed anything" + (" of that kind" if subject or action else "")
    print_rows(rows, columns, empty=empty, texts=("before", "after", "reason"))


def _worded(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... (--json shows all)"
