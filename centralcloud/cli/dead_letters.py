"""`centralcloud dead-letters`: what could not be taken in."""

import json
import sys
from typing import Annotated, Any

import typer

from centralcloud.administration import dead_letters
from centralcloud.administration.dead_letters import Edit, Filter
from centralcloud.cli.arguments import moment, utf8
from centralcloud.cli.context import open_database, read_settings
from centralcloud.contracts import SettingsError
from centralcloud.runtime.cli import AsJson, print_json, print_rows
from centralcloud.runtime.wording import counted

app = typer.Typer(help="Look at messages that could not be taken in, send them again, or give them up.")

Ids = Annotated[list[int] | None, typer.Argument(help="Ids that `list` shows.")]
Field = Annotated[str | None, typer.Option(help="Only those refused for this field, e.g. routing_decision.complexity.")]
Reason = Annotated[str | None, typer.Option(help="Only those whose reason has these words in it.")]
Since = Annotated[str | None, typer.Option(help="Put aside since then: 2026-11-20T14:00, or an age like 2h or 7d.")]
Until = Annotated[str | None, typer.Option(help="Put aside before then.")]
EveryOne = Annotated[bool, typer.Option("--all", help="Every open one, when there is neither an id nor a filter.")]


@app.command("list")
def list_command(
    field: Field = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    with_resolved: Annotated[bool, typer.Option("--with-resolved", help="Also those replayed or discarded.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest ones.")] = 100,
    json_output: AsJson = False,
) -> None:
    """List dead letters, newest first."""
    which = _filter(None, field, reason, since, until)
    with open_database(read_settings(), "dead-letters") as database, database.transaction() as connection:
        letters = dead_letters.list_dead_letters(
            connection, which, limit=limit, with_resolved=with_resolved, with_message=json_output
        )
    if json_output:
        print_json(letters)
        return
    columns: dict[str, Any] = dict.fromkeys(("id", "created_at", "field", "reason"))
    columns["id"] = str
    if with_resolved:
        columns["resolution"] = None
    print_rows(letters, columns, empty="no dead letters")


@app.command()
def show(
    letter_id: Annotated[int, typer.Argument(metavar="ID", help="An id that `list` shows.")],
    json_output: AsJson = False,
) -> None:
    """Show one dead letter with its whole message."""
    with open_database(read_settings(), "dead-letters") as database, database.transaction() as connection:
        letter = dead_letters.get_dead_letter(connection, letter_id)
    if json_output:
        print_json(letter)
        return
    message = letter.pop("message")
    for name, value in letter.items():
        if value is not None:
            typer.echo(f"{name}: {value}")
    typer.echo(_indented(message))


@app.command()
def replay(
    ids: Ids = None,
    field: Field = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    everyone: EveryOne = False,
    edit: Annotated[
        list[str] | None,
        typer.Option(
            help="Change a field first, e.g. routing_decision.complexity=simple; the value is JSON or a word."
        ),
    ] = None,
    json_output: AsJson = False,
) -> None:
    """Send open dead letters to the queue again.

    Each goes once, and is then no longer open. If it is refused again, it comes back as a new dead letter.
    """
    which = _chosen(ids, field, reason, since, until, everyone=everyone)
    edits = [_edit(text) for text in edit or []]
    if len({tuple(edit.path) for edit in edits}) < len(edits):
        raise SettingsError("--edit: found a field twice, expected it once")
    with open_database(read_settings(), "dead-letters") as database:
        replayed = dead_letters.replay(database, which, edits)
    if json_output:
        print_json({"sent": replayed.sent, "refused": [refusal._asdict() for refusal in replayed.refused]})
    else:
        for refusal in replayed.refused:
            typer.echo(f"dead letter {refusal.id} was not sent: {refusal.reason}", err=True)
        typer.echo(f"sent {counted(replayed.sent, 'message')} to model_routing_decisions again")
    if replayed.refused:
        raise typer.Exit(1)


@app.command()
def discard(
    ids: Ids = None,
    field: Field = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    everyone: EveryOne = False,
    json_output: AsJson = False,
) -> None:
    """Give open dead letters up. They are deleted after CENTRALCLOUD_RETENTION_DEAD_LETTERS_DAYS."""
    which = _chosen(ids, field, reason, since, until, everyone=everyone)
    with open_database(read_settings(), "dead-letters") as database:
        discarded = dead_letters.discard(database, which)
    if json_output:
        print_json({"discarded": discarded})
    else:
        typer.echo(f"discarded {discarded} dead letters")
    if ids and discarded < len(set(ids)):
        typer.echo(f"{len(set(ids)) - discarded} of the ids are of no open dead letter", err=True)
        raise typer.Exit(1)


def _filter(
    ids: list[int] | None, field: str | None, reason: str | None, since: str | None, until: str | None
) -> Filter:
    return Filter(
        ids=ids or None,
        field=utf8(field, "--field"),
        reason=utf8(reason, "--reason"),
        since=moment(since, "--since") if since else None,
        until=moment(until, "--until") if until else None,
    )


def _chosen(
    ids: list[int] | None,
    field: str | None,
    reason: str | None,
    since: str | None,
    until: str | None,
    *,
    everyone: bool,
) -> Filter:
    """A filter that somebody has thought about: nobody replays or discards everything by leaving something out."""
    which = _filter(ids, field, reason, since, until)
    if (which == Filter()) != everyone:
        raise SettingsError("found no ids and no filter, expected some, or --all" if not everyone else
                            "found --all together with ids or a filter, expected one of them")  # fmt: skip
    return which


def _edit(text: str) -> Edit:
    path, separator, value = text.partition("=")
    if not separator or not all(path.split(".")):
        raise SettingsError(f"--edit: found {text!r}, expected field=value, e.g. routing_decision.complexity=simple")
    return Edit(path.split("."), _json_or_word(value))


def _json_or_word(text: str) -> Any:
    """What PostgreSQL can store of it: numbers are finite, strings are Unicode."""
    try:
        value = json.loads(text, parse_constant=str)
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except RecursionError:
        raise SettingsError("--edit: found JSON nested too deeply, expected a value") from None
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError):
            return utf8(text, "--edit")
        raise SettingsError(f"--edit: found {text[:40]!r}, expected a finite number or a string of Unicode") from None
    return value


def _indented(message: str | None) -> str:
    """The message for reading; as it stands when Python cannot decode it, which may be why it is here."""
    if message is None:
        return "(no message)"
    try:
        return json.dumps(json.loads(message), indent=2, ensure_ascii=not sys.stdout.encoding.lower().startswith("utf"))
    except (ValueError, RecursionError):
        return message
