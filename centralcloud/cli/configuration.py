"""`centralcloud configuration`: the fleet's configuration as a whole, its history, and the way back."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, cast, get_args

import msgspec
import typer
from msgspec import to_builtins

from centralcloud.cli.arguments import Reason
from centralcloud.cli.context import open_database, read_settings, this_operator
from centralcloud.contracts import SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import KINDS, Change, EntryKey
from centralcloud.contracts.fleet_configuration.model import ModelStatus
from centralcloud.runtime.commands.arguments import utf8
from centralcloud.runtime.commands.json_input import read_json_input
from centralcloud.runtime.configuration.difference import EntryDifference, difference, difference_of
from centralcloud.runtime.configuration.document import (
    KEPT_KINDS,
    changes_to,
    entry_body,
    read_document,
    to_document,
    to_text,
    unknown_names,
)
from centralcloud.runtime.configuration.writing import Author, Current, Written, change_configuration, read_whole
from centralcloud.runtime.terminal.output import (
    AsJson,
    print_document,
    print_json,
    print_line,
    print_rows,
    print_text,
)
from centralcloud.runtime.terminal.prompts import confirm
from centralcloud.runtime.wording import counted, listed, printable_json

app = typer.Typer(help="Show, compare, roll back, export and import the fleet's configuration.", no_args_is_help=True)

_MOST_NAMED: Final = 10
_POLICY_KIND: Final = "policy"
_STATUSES: Final = get_args(ModelStatus)
_ENTRY_HELP: Final = f"KIND/ID, or a KIND: {', '.join(KINDS)}."
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before it removes all policies or entries.")]
Expected = Annotated[
    int | None,
    typer.Option("--expected-version", min=0, help="Refuse the change when the configuration is at another version."),
]


@app.command()
def show(
    entry: Annotated[str | None, typer.Argument(help=_ENTRY_HELP)] = None,
    at: Annotated[int | None, typer.Option("--at", min=0, help="As it was at this version.")] = None,
    json_output: AsJson = False,
) -> None:
    """Show the version and how many entries there are, or the entries of a kind, or one entry."""
    from centralcloud.runtime.configuration.history import list_versions, read_at

    kind, entry_id = _entry(entry, "ENTRY")
    with open_database(read_settings(), "configuration", checked=False) as database:
        current = read_whole(database)
        version = current.configuration.version if at is None else at
        bodies = current.bodies if at is None else read_at(database, at)
        newest = list_versions(database, most=1)
    if kind is None:
        counts = {name: sum(each == name for each, _ in bodies) for name in KINDS}
        changed = newest[0] if newest and newest[0].version == version else None
        if json_output:
            print_json({"version": version, "entries": counts, "changed": _plain(changed)})
            return
        by = f", changed {changed.at.astimezone():%Y-%m-%d %H:%M} by {changed.who}" if changed else ""
        print_text(f"version {version}{by}")
        rows = [{"kind": name, "entries": count} for name, count in counts.items()]
        print_rows(rows, dict.fromkeys(("kind", "entries")), empty="")
        return
    shown = [
        _shown(*key, body) for key, body in sorted(bodies.items()) if key[0] == kind and entry_id in (None, key[1])
    ]
    if entry_id is not None and not shown:
        raise SettingsError(f"ENTRY: found {quote(entry)}, expected an entry of version {version}")
    value = shown[0] if entry_id is not None else shown
    if json_output:
        print_json(value)
    else:
        print_document(_text(value))


@app.command()
def history(
    entry: Annotated[str | None, typer.Argument(help=f"Only changes of {_ENTRY_HELP}")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most this many, the newest ones.")] = 50,
    json_output: AsJson = False,
) -> None:
    """Show the versions of the configuration, newest first: when, by whom, why, and which entries."""
    from centralcloud.runtime.configuration.history import list_versions

    kind, entry_id = _entry(entry, "ENTRY")
    with open_database(read_settings(), "configuration", checked=False) as database:
        versions = list_versions(database, most=limit, kind=kind, entry_id=entry_id)
    rows = [to_builtins(each, builtin_types=(type(each.at),)) for each in versions]
    if json_output:
        print_json(rows)
        return
    for row in rows:
        every = row["changed"] == len(row["entries"])
        row["entries"] = listed(row["entries"], _MOST_NAMED) if every else None
    columns = ("version", "at", "who", "via", "source", "changed", "entries", "reason")
    empty = "the configuration was never changed" if entry is None else f"{entry} was never changed"
    print_rows(rows, dict.fromkeys(columns), empty=empty, texts=("entries", "reason"))


@app.command()
def diff(
    before: Annotated[int, typer.Argument(metavar="FROM", min=0, help="A version.")],
    after: Annotated[
        int | None, typer.Argument(metavar="[TO]", min=0, help="Another one; the newest by default.")
    ] = None,
    json_output: AsJson = False,
) -> None:
    """Show what differs between two versions, by entry and field."""
    from centralcloud.runtime.configuration.history import read_at

    with open_database(read_settings(), "configuration", checked=False) as database:
        old = read_at(database, before)
        new = read_whole(database).bodies if after is None else read_at(database, after)
    _show_difference(difference(old, new), empty="nothing differs", json_output=json_output)


@app.command()
def rollback(
    to: Annotated[int, typer.Option("--to", min=0, help="The version to go back to.")],
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Write the content of an earlier version again, as a new version, and show what that changes.

    Keys and experiments stay as they are now: a key that was revoked does not come back. Asks before it removes every policy
    or every entry: the default policies of `migrate` are a version, too.
    """
    from centralcloud.runtime.configuration.history import changes_back, read_at

    author = _author(reason or f"rolled back to version {to}")
    with open_database(read_settings(), "configuration", checked=False) as database:
        then = read_at(database, to)
        seen = None
        if not dry_run and not yes:
            seen = _confirm_removal(read_whole(database), then, f"Version {to}", "nothing was rolled back")
        made: list[EntryDifference] = []

        def decide(current: Current) -> Sequence[Change]:
            changes = changes_back(current, then)
            made[:] = difference_of(current.bodies, changes)
            return changes

        written = change_configuration(
            database, author, decide, expected_version=seen, is_known=_may_be_known, dry_run=dry_run
        )
    _show_written(written, made, dry_run=dry_run, json_output=json_output, extra={"to_version": to})


@app.command("set-status")
def set_status(
    model: Annotated[str, typer.Argument(help="Id of a registered model.")],
    status: Annotated[str, typer.Argument(help="active, or inactive: it gets no request.")],
    reason: Reason = None,
    expected_version: Expected = None,
    json_output: AsJson = False,
) -> None:
    """Make a registered model active or inactive, with the rights of operators."""
    from centralcloud.administration.model_status import set_model_status

    utf8(model, "MODEL")
    if status not in _STATUSES:
        raise SettingsError(f"STATUS is {quote(status)}: expected one of {', '.join(_STATUSES)}")
    operator = this_operator(reason)
    with open_database(read_settings(), "configuration", checked=False) as database:
        version = set_model_status(
            database, model, cast("ModelStatus", status), operator, expected_version=expected_version
        )
    if json_output:
        print_json({"model": model, "status": status, "version": version})
        return
    print_text(f"{model} is {status} in version {version:,} of the configuration")


@app.command("export")
def export_command(
    output: Annotated[Path | None, typer.Option(help="Write to this file; without it, print.")] = None,
    at: Annotated[int | None, typer.Option("--at", min=0, help="As it was at this version.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the document on one line.")] = False,
) -> None:
    """Print the whole configuration as one JSON document, without keys and experiments.

    Equal configurations have equal documents, byte for byte. `import` and POST /api/config/import read it.
    """
    from centralcloud.runtime.configuration.history import read_at

    if output is not None and json_output:
        raise SettingsError("--output: found together with --json, expected one of them")
    with open_database(read_settings(), "configuration", checked=False) as database:
        bodies = read_whole(database).bodies if at is None else read_at(database, at)
    document = to_document(bodies)
    if json_output:
        print_json(document)
        return
    text = printable_json(to_text(document).decode())
    if output is None:
        print_document(text.removesuffix("\n"))
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise SettingsError(f"--output: cannot write {output}: {error.strerror}") from None
    print_line(
        f"wrote {counted(sum(kind not in KEPT_KINDS for kind, _ in bodies), 'entry', 'entries')} to {output}", err=True
    )


@app.command("import")
def import_command(
    file: Annotated[str, typer.Argument(help="A document of `export`; - reads standard input.")],
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Remove every entry that the document does not have; keys and experiments stay."
        ),
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    expected_version: Expected = None,
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Write the entries of a document in one version, validated as a whole, and show what that changes.

    Other entries stay, unless --replace, which asks before it removes every policy or every entry. Keys and experiments are
    neither read nor changed. This command has no catalog: names of models that are not registered are accepted, and a
    warning lists those that no entry had before.
    """
    author = _author(reason)
    wanted = read_document(read_json_input(file))
    unknown: list[str] = []
    made: list[EntryDifference] = []

    def decide(current: Current) -> Sequence[Change]:
        changes = changes_to(current.bodies, wanted, replace=replace)
        made[:] = difference_of(current.bodies, changes)
        unknown[:] = unknown_names(current.configuration, ())
        return changes

    with open_database(read_settings(), "configuration", checked=False) as database:
        seen = None
        if replace and not dry_run and not yes:
            seen = _confirm_removal(read_whole(database), wanted, "The document", "nothing was imported")
        written = change_configuration(
            database,
            author,
            decide,
            expected_version=seen if expected_version is None else expected_version,
            is_known=_may_be_known,
            dry_run=dry_run,
        )
    new = unknown_names(written.configuration, unknown)
    if new:
        names = listed(new, _MOST_NAMED)
        print_line(
            f"warning: names of models that are not registered: {names}; each gateway uses those that its catalog has",
            err=True,
        )
    _show_written(written, made, dry_run=dry_run, json_output=json_output, extra={"unknown_models": new})


def _confirm_removal(current: Current, then: Iterable[EntryKey], source: str, otherwise: str) -> int | None:
    """Ask before every policy or every entry is removed; return the version that was asked about, None without a question.

    Args:
        current: the configuration that is replaced.
        then: the entries that it is replaced by.
        source: what has `then`, for the question.
        otherwise: what the operator is told who says no.

    Raises:
        NotConfirmedError, InterruptedAtPromptError, SettingsError: as `confirm`.
    """
    now, kept = _names_by_kind(current.bodies), _names_by_kind(then)
    if _POLICY_KIND in kept or (kept and _POLICY_KIND not in now) or not now:
        return None
    gone = {kind: [name for name in names if name not in kept.get(kind, ())] for kind, names in now.items()}
    number = counted(sum(map(len, gone.values())), "entry", "entries")
    confirm(
        f"{source} has no {'policy' if kept else 'entry'}. Remove {number}?",
        yes=False,
        otherwise=otherwise,
        concerned=[f"{kind}: {listed(names, _MOST_NAMED)}" for kind, names in gone.items() if names],
    )
    return current.configuration.version


def _names_by_kind(entries: Iterable[EntryKey]) -> dict[str, list[str]]:
    """Return the ids of the entries of each kind that has some, but keys and experiments."""
    names: dict[str, list[str]] = {}
    for kind, entry_id in sorted(entries):
        if kind not in KEPT_KINDS:
            names.setdefault(kind, []).append(entry_id)
    return names


def _may_be_known(_name: str) -> bool:
    """Accept any name of a model: gateways have catalogs, which know more than are registered; this program has none."""
    return True


def _show_written(
    written: Written, made: list[EntryDifference], *, dry_run: bool, json_output: bool, extra: dict[str, Any]
) -> None:
    version = written.configuration.version
    if json_output:
        document = {"version": version, "changed": bool(made), "dry_run": dry_run, **extra}
        print_json({**document, "entries": to_builtins(made)})
        return
    _show_difference(made, empty=f"nothing differs from version {version}", json_output=False)
    if made:
        counts = [
            f"{number:,} {word}"
            for word in ("added", "changed", "removed")
            if (number := sum(each.change == word for each in made))
        ]
        head = "would be written" if dry_run else f"version {version}"
        print_text(f"{head}: {', '.join(counts)}")


def _show_difference(found: list[EntryDifference], *, empty: str, json_output: bool) -> None:
    if json_output:
        print_json(to_builtins(found))
        return
    rows = []
    for each in found:
        row = {"entry": f"{each.kind}/{each.id}", "change": each.change, "field": None, "before": None, "after": None}
        fields = [{"field": one.field, "before": _cell(one.before), "after": _cell(one.after)} for one in each.fields]
        rows += [{**row, **one} for one in fields] or [row]
    columns = dict.fromkeys(("entry", "change", "field", "before", "after"))
    print_rows(rows, columns, empty=empty, texts=("before", "after"))


def _cell(value: Any) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list) else value


def _text(value: Any) -> str:
    return printable_json(to_text(value).decode().removesuffix("\n"))


def _shown(kind: str, entry_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
    shown = entry_body(kind, entry_id, body)
    shown.pop("hash", None)
    return shown


def _plain(value: Any) -> Any:
    return None if value is None else to_builtins(value)


def _entry(text: str | None, option: str) -> tuple[str | None, str | None]:
    if text is None:
        return None, None
    kind, _, entry_id = (utf8(text, option) or "").partition("/")
    if kind not in KINDS:
        raise SettingsError(f"{option}: found {quote(text)}, expected KIND or KIND/ID with one of {', '.join(KINDS)}")
    return kind, entry_id or None


def _author(reason: str | None) -> Author:
    operator = this_operator(reason)
    return Author(who=operator.who, via="cli", source=operator.source, reason=operator.reason)
