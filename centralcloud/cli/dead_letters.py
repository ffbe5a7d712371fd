"""`centralcloud dead-letters`: messages that could not be ingested."""

import json
import sys
from typing import Annotated, Any

import typer

from centralcloud.administration import dead_letters
from centralcloud.administration.dead_letters import Filter
from centralcloud.administration.message_edits import Edit, parse_call
from centralcloud.cli.arguments import parse_moment
from centralcloud.cli.context import open_database, read_settings, this_operator
from centralcloud.contracts import SettingsError
from centralcloud.runtime.commands.arguments import utf8
from centralcloud.runtime.terminal.output import (
    AsJson,
    print_document,
    print_json,
    print_json_list,
    print_line,
    print_rows,
    print_text,
)
from centralcloud.runtime.wording import counted, printable_json

app = typer.Typer(
    help="Show, replay and discard messages that could not be ingested.\n\nWithout a command: `list`.",
    invoke_without_command=True,
)

Ids = Annotated[list[int] | None, typer.Argument(help="Ids that `list` shows.")]
Field = Annotated[str | None, typer.Option(help="Only those refused for this field, e.g. routing_decision.complexity.")]
Reason = Annotated[str | None, typer.Option(help="Only those whose reason contains these words.")]
Since = Annotated[str | None, typer.Option(help="Dead-lettered since then: 2026-11-20T14:00, or an age like 2h or 7d.")]
Until = Annotated[str | None, typer.Option(help="Dead-lettered before then.")]
Everything = Annotated[bool, typer.Option("--all", help="Every open one, instead of ids and filters.")]
#: Here --reason is a filter.
Why = Annotated[str | None, typer.Option("--why", help="Why, for the log that `centralcloud history` shows.")]


@app.callback()
def dead_letters_group(context: typer.Context, json_output: AsJson = False) -> None:
    """Show, replay and discard messages that could not be ingested."""
    if context.invoked_subcommand is None:
        list_command(json_output=json_output)


@app.command("list")
def list_command(
    field: Field = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    with_resolved: Annotated[bool, typer.Option("--with-resolved", help="Also those replayed or discarded.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, the newest ones.")] = 100,
    json_output: AsJson = False,
) -> None:
    """List dead letters, newest first."""
    which = _filter(None, field, reason, since, until)
    with open_database(read_settings(), "dead-letters") as database:
        letters = dead_letters.list_dead_letters(
            database, which, limit=limit, with_resolved=with_resolved, with_message=json_output
        )
        if json_output:
            print_json_list(letters)
            return
        rows = list(letters)
    columns: dict[str, Any] = dict.fromkeys(("id", "created_at", "field", "reason"))
    columns["id"] = str
    if with_resolved:
        columns["resolution"] = None
    print_rows(rows, columns, empty="no dead letters", texts=("reason",))


@app.command()
def show(
    letter_id: Annotated[int, typer.Argument(metavar="ID", help="An id that `list` shows.")],
    json_output: AsJson = False,
) -> None:
    """Show one dead letter with its complete message."""
    with open_database(read_settings(), "dead-letters") as database:
        letter = dead_letters.get_dead_letter(database, letter_id)
    if json_output:
        print_json(letter)
        return
    message = letter.pop("message")
    for name, value in letter.items():
        if value is not None:
            print_text(f"{name}: {value}")
    print_document(_indented(message))


@app.command()
def replay(
    ids: Ids = None,
    field: Field = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    edit: Annotated[
        list[str] | None,
        typer.Option(
            help="Change a field first, e.g. routing_decision.complexity=simple; the value is JSON, a word, or a function "
            "of a field: timestamp=epoch_ms(timestamp)."
        ),
    ] = None,
    why: Why = None,
    json_output: AsJson = False,
) -> None:
    """Send open dead letters to the queue again.

    Each is sent once, and is then no longer open. If it is refused again, it becomes a new dead letter.
    """
    which = _chosen(ids, field, reason, since, until, everything=everything)
    edits = [_edit(text) for text in edit or []]
    if len({tuple(edit.path) for edit in edits}) < len(edits):
        raise SettingsError("--edit: found a field twice, expected it once")
    operator = this_operator(why)
    with open_database(read_settings(), "dead-letters") as database:
        replayed = dead_letters.replay(database, which, edits, operator)
    if json_output:
        print_json({"sent": replayed.sent, "refused": [refusal._asdict() for refusal in replayed.refused]})
    else:
        for refusal in replayed.refused:
            print_line(f"dead letter {refusal.id} was not sent: {refusal.reason}", err=True)
        print_text(f"sent {counted(replayed.sent, 'message')} to model_routing_decisions again")
    if replayed.refused:
        raise typer.Exit(1)


@app.command()
def discard(
    ids: Ids = None,
    field: Field = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    why: Why = None,
    json_output: AsJson = False,
) -> None:
    """Discard open dead letters. They are deleted after the days of the fleet setting retention.dead_letters_days."""
    which = _chosen(ids, field, reason, since, until, everything=everything)
    operator = this_operator(why)
    with open_database(read_settings(), "dead-letters") as database:
        discarded = dead_letters.discard(database, which, operator)
    if json_output:
        print_json({"discarded": discarded})
    else:
        print_text(f"discarded {counted(discarded, 'dead letter')}")
    if ids and discarded < len(set(ids)):
        print_line(f"{counted(len(set(ids)) - discarded, 'id')} without an open dead letter", err=True)
        raise typer.Exit(1)


def _filter(
    ids: list[int] | None, field: str | None, reason: str | None, since: str | None, until: str | None
) -> Filter:
    for option, text in (("--field", field), ("--reason", reason), ("--since", since), ("--until", until)):
        if text == "":  # an unset variable of a shell, which would select every dead letter
            raise SettingsError(f"{option} is empty: expected a text, or no {option}")
    return Filter(
        ids=ids or None,
        field=utf8(field, "--field"),
        reason=utf8(reason, "--reason"),
        since=parse_moment(since, "--since") if since else None,
        until=parse_moment(until, "--until") if until else None,
    )


def _chosen(
    ids: list[int] | None,
    field: str | None,
    reason: str | None,
    since: str | None,
    until: str | None,
    *,
    everything: bool,
) -> Filter:
    """Return the filter, which must be explicit: ids and filters left out by mistake must not select every dead letter."""
    which = _filter(ids, field, reason, since, until)
    if (which == Filter()) != everything:
        raise SettingsError(
            "found --all together with ids or a filter, expected one of them"
            if everything
            else "ids, a filter or --all is required"
        )
    return which


def _edit(text: str) -> Edit:
    path, separator, value = text.partition("=")
    if not separator or not all(path.split(".")):
        raise SettingsError(f"--edit: found {text!r}, expected field=value, e.g. routing_decision.complexity=simple")
    if call := parse_call(value):
        function, argument = call
        return Edit(path.split("."), function=function, argument=tuple(str(utf8(key, "--edit")) for key in argument))
    return Edit(path.split("."), _json_or_word(value))


def _json_or_word(text: str) -> Any:
    """Parse a value that PostgreSQL can store: numbers are finite, strings are Unicode."""
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
    """Indent the message; if Python cannot decode it, which may be why it is a dead letter, return it unchanged.

    Characters that are not printable get the escapes of JSON.
    """
    if message is None:
        return "(no message)"
    try:
        ascii_only = not sys.stdout.encoding.lower().startswith("utf")
        return printable_json(json.dumps(json.loads(message), indent=2, ensure_ascii=ascii_only))
    except (ValueError, RecursionError):
        return message
