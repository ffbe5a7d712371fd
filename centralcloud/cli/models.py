"""`centralcloud models`: the models by name."""

from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

from centralcloud.cli.arguments import Reason, in_order, refuse_empty
from centralcloud.cli.context import open_database, read_fleet_settings, read_settings, this_operator
from centralcloud.contracts import COMPLEXITIES, SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.limits import MAX_NAME_LENGTH, OTHER
from centralcloud.contracts.text import read_name
from centralcloud.runtime.commands.arguments import parse_age, utf8
from centralcloud.runtime.postgres.errors import retry_on_contention
from centralcloud.runtime.terminal.output import AsJson, print_json, print_rows, print_text
from centralcloud.runtime.terminal.prompts import confirm
from centralcloud.runtime.wording import and_more, counted, percent

app = typer.Typer(
    help="Show, rename, merge, retire and forget models.\n\nWithout a command: `list`.",
    invoke_without_command=True,
)

#: Models that `forget` shows before it asks; it counts the others.
_SHOWN_MODELS: Final = 20
_MODEL_COLUMNS: Final[dict[str, Callable[[Any], Any] | None]] = {
    "model": None,
    "complexities": lambda complexities: " ".join(complexities) or None,
    "outcomes": None,
    "success_rate": percent,
    "scores": lambda scores: " ".join(f"{complexity}={score:.3f}" for complexity, score in scores.items()) or None,
    "last_seen_at": None,
    "retired": lambda retired: "retired" if retired else None,
}


@app.callback()
def models_group(context: typer.Context, json_output: AsJson = False) -> None:
    """Show, rename, merge, retire and forget models."""
    if context.invoked_subcommand is None:
        list_command(json_output=json_output)


@app.command("list")
def list_command(json_output: AsJson = False) -> None:
    """List the models, with the outcomes of each over all complexities, and its scores."""
    from centralcloud.administration.models import list_models

    with open_database(read_settings(), "models") as database, database.transaction() as connection:
        rows = list_models(connection)
    if json_output:
        print_json(rows)
        return
    print_rows(rows, _MODEL_COLUMNS, empty="no model was ever chosen", texts=("scores",))


@app.command()
def rename(
    old: Annotated[str, typer.Argument(help="The name now.")],
    new: Annotated[str, typer.Argument(help="The new name; one that exists already absorbs the old one.")],
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Rename a model and all its data.

    If the new name exists already, counters and evidence add up and its scores stay. Rename the model in the catalogs of
    the instances, too: events that they still report under the old name create a new model of that name.
    """
    from centralcloud.administration.models import rename_model

    for name, option in ((old, "OLD"), (new, "NEW")):
        _check_name(name, option)
    if read_name(new, MAX_NAME_LENGTH) != new:
        raise SettingsError(
            f"NEW: found {quote(new)}, expected a name as events have it: trimmed, in the Unicode form NFC, without "
            "invisible characters"
        )
    if old == new:
        raise SettingsError(f"NEW: found {new!r}, expected another name than OLD")
    operator = this_operator(reason)
    with open_database(read_settings(), "models") as database:
        done = rename_model(database, old, new, operator)
    if json_output:
        print_json({**done._asdict(), "changes": [change._asdict() for change in done.changes]})
        return
    merged = f", merged with its {', '.join(done.merged)}" if done.merged else ""
    print_text(f"{old} is now {new} ({', '.join(done.complexities)}; {counted(done.records, 'record')}){merged}")
    columns = ("model", "complexity", "old_score", "new_score", "version", "reason")
    rows = in_order(change._asdict() for change in done.changes)
    print_rows(rows, dict.fromkeys(columns), empty="it has no score", texts=("reason",))


@app.command()
def retire(
    model: Annotated[str, typer.Argument(metavar="NAME", help="A name that `list` shows.")],
    undo: Annotated[
        bool, typer.Option("--undo", help="Reinstate it: its earlier scores are published again, at once.")
    ] = False,
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Publish the score 0 for a model, so that no router chooses it by score, and exclude it from learning and findings.

    Its events are still counted. It stays retired until --undo.
    """
    from centralcloud.administration.models import reinstate_model, retire_model

    _check_name(model, "NAME")
    operator = this_operator(reason)
    with open_database(read_settings(), "models") as database:
        changes = retry_on_contention(lambda: (reinstate_model if undo else retire_model)(database, model, operator))
    rows = [change._asdict() for change in changes]
    if json_output:
        print_json({"model": model, "retired": not undo, "changes": rows})
        return
    print_text(f"{model} is no longer retired" if undo else f"{model} is retired")
    columns = ("complexity", "old_score", "new_score", "version", "reason")
    empty = "instances use their own scores for it until the learner has one"
    print_rows(rows, dict.fromkeys(columns), empty=empty, texts=("reason",))


@app.command()
def changed(
    model: Annotated[str, typer.Argument(metavar="NAME", help="A name that `list` shows.")],
    complexities: Annotated[
        list[str] | None,
        typer.Option("--complexity", help="For tasks of this complexity alone; may be repeated. Without it: for all."),
    ] = None,
    undo: Annotated[
        bool,
        typer.Option("--undo", help="Undo the newest change, also one that the provider told."),
    ] = False,
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Learn a model anew from now on: its provider has changed it.

    Its old estimate is a weak prior of the new one. The scores change with the next run of the learner. Only rules that
    estimate a success rate use this: `adaptive` does, `threshold` does not. A change of the model id that answers name is
    noticed without this command.
    """
    from centralcloud.administration.model_changes import mark_changed, undo_change
    from centralcloud.learning.rules import ThresholdRule

    _check_name(model, "NAME")
    for each in complexities or ():
        if each not in COMPLEXITIES:
            raise SettingsError(f"--complexity: found {each!r}, expected one of {', '.join(COMPLEXITIES)}")
    if undo and complexities:
        raise SettingsError("--complexity: found it beside --undo, expected one of them")
    operator = this_operator(reason)
    settings = read_settings()
    with open_database(settings, "models") as database:
        if undo:
            undone = undo_change(database, model, operator)
            rows = [each._asdict() for each in undone]
            if json_output:
                print_json({"model": model, "undone": rows})
                return
            print_text(f"the change of {model} at {undone[0].created_at:%Y-%m-%d %H:%M} UTC counts no more")
            return
        fleet = read_fleet_settings(settings, database)
        chosen = list(dict.fromkeys(complexities or ()))
        concerned = retry_on_contention(lambda: mark_changed(database, model, chosen, fleet.reference, operator))
    if json_output:
        print_json({"model": model, "complexities": concerned})
    else:
        print_text(f"{model} is learned anew for {', '.join(concerned)} tasks, with the next run of the learner")
        if fleet.rule == ThresholdRule().name:
            print_text(f"the rule that publishes, {fleet.rule}, uses none of this: its scores stay as they are")


@app.command()
def forget(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Names that `list` shows.")] = None,
    matching: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Names that match a pattern, such as 'tmp-*' (with quotes).")
    ] = None,
    unused_for: Annotated[
        str | None, typer.Option(metavar="TIME", help="Models without an event for so long: 12h, 30d.")
    ] = None,
    fewer_than: Annotated[
        int | None, typer.Option(metavar="OUTCOMES", min=1, help="Models with fewer outcomes in their lifetime.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Forget names that are not models: their scores, and everything that was learned of them.

    Shows the models that meet every criterion given, and asks. Their events stay counted, under the model (other). A name
    that is used again is a new model.
    """
    from centralcloud.administration.forgetting import Criteria, find_models, forget_models
    from centralcloud.administration.models import UnknownModelError

    for name in names or ():
        _check_name(name, "NAME")
    refuse_empty(matching, "--matching", "a pattern")
    utf8(matching, "--matching")
    criteria = Criteria(
        names or (), matching, parse_age(unused_for, "--unused-for") if unused_for else None, fewer_than
    )
    if criteria == Criteria():
        raise SettingsError("NAME, --matching, --unused-for or --fewer-than is required")
    operator = this_operator(reason)
    with open_database(read_settings(), "models") as database:
        with database.transaction() as connection:
            found = find_models(connection, criteria)
        if not found:
            raise UnknownModelError("found no model that meets every criterion: nothing was forgotten")
        outcomes = sum(row["outcomes"] for row in found)
        if not json_output:
            print_rows(found[:_SHOWN_MODELS], _MODEL_COLUMNS, empty="", texts=("scores",))
            if len(found) > _SHOWN_MODELS:
                print_text(f"... {and_more(len(found) - _SHOWN_MODELS)}")
        question = f"Forget {counted(len(found), 'model')} with {counted(outcomes, 'outcome')}?"
        confirm(question, yes=yes, otherwise="nothing was forgotten")
        done = forget_models(database, [row["model"] for row in found], operator)
    if json_output:
        print_json({**done._asdict(), "names": [row["model"] for row in found]})
    else:
        print_text(
            f"forgot {counted(done.models, 'model')}: {counted(done.scores, 'score')} removed, "
            f"{counted(done.records, 'record')} now under (other)"
        )


def _check_name(name: str, option: str) -> None:
    utf8(name, option)
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise SettingsError(f"{option}: found {len(name)} characters, expected 1 to {MAX_NAME_LENGTH}")
    if name == OTHER:
        raise SettingsError(f"{option}: found {OTHER}, which stands for names that are not models: expected a model")
