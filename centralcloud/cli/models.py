"""`centralcloud models`: the names that models go by."""

from typing import Annotated

import typer

from centralcloud.cli.arguments import utf8
from centralcloud.cli.context import open_database, read_settings
from centralcloud.contracts import SettingsError
from centralcloud.contracts.limits import MAX_NAME_LENGTH
from centralcloud.runtime.cli import AsJson, print_json, print_rows
from centralcloud.runtime.postgres.errors import retry_on_contention

app = typer.Typer(help="Show the models that were ever chosen, rename, merge and retire them.")


@app.command("list")
def list_command(json_output: AsJson = False) -> None:
    """List the models: what is known of each over all complexities, and its scores."""
    from centralcloud.administration.models import list_models

    with open_database(read_settings(), "models") as database, database.transaction() as connection:
        rows = list_models(connection)
    if json_output:
        print_json(rows)
        return
    columns = {
        "model": None,
        "complexities": " ".join,
        "outcomes": None,
        "success_rate": lambda rate: None if rate is None else f"{rate:.1%}",
        "scores": lambda scores: " ".join(f"{complexity}={score:.3f}" for complexity, score in scores.items()),
        "last_seen_at": None,
        "retired": lambda retired: "retired" if retired else None,
    }
    print_rows(rows, columns, empty="no model was ever chosen")


@app.command()
def rename(
    old: Annotated[str, typer.Argument(help="The name it has.")],
    new: Annotated[str, typer.Argument(help="The name it gets; one that exists already takes it in.")],
    json_output: AsJson = False,
) -> None:
    """Give a model another name, with everything that is known of it.

    Counters and evidence of a name that exists already are added to; its scores stay. Rename the model in the instances'
    catalogs too: what they go on reporting under the old name makes a new model of that name.
    """
    from centralcloud.administration.models import rename_model

    for name, option in ((old, "OLD"), (new, "NEW")):
        _check_name(name, option)
    if old == new:
        raise SettingsError(f"NEW: found {new!r}, expected another name than OLD")
    with open_database(read_settings(), "models") as database:
        done = rename_model(database, old, new)
    if json_output:
        print_json({**done._asdict(), "changes": [change._asdict() for change in done.changes]})
        return
    merged = f", merged with its {', '.join(done.merged)}" if done.merged else ""
    typer.echo(f"{old} is {new} from now on ({', '.join(done.complexities)}; {done.records:,} records){merged}")
    columns = ("model", "complexity", "old_score", "new_score", "version", "reason")
    print_rows([change._asdict() for change in done.changes], dict.fromkeys(columns), empty="no score stands for it")


@app.command()
def retire(
    model: Annotated[str, typer.Argument(metavar="NAME", help="A name that `list` shows.")],
    undo: Annotated[
        bool, typer.Option("--undo", help="Take it back: the next run of the learner publishes again.")
    ] = False,
    json_output: AsJson = False,
) -> None:
    """Publish the score 0 for a model, so that no router chooses it by score, and leave it out of learning and findings.

    What comes in of it is still counted. Without --undo it stays so.
    """
    from centralcloud.administration.models import reinstate_model, retire_model

    _check_name(model, "NAME")
    with open_database(read_settings(), "models") as database:
        changes = retry_on_contention(lambda: (reinstate_model if undo else retire_model)(database, model))
    rows = [change._asdict() for change in changes]
    if json_output:
        print_json({"model": model, "retired": not undo, "changes": rows})
        return
    typer.echo(f"{model} is no longer retired" if undo else f"{model} is retired")
    columns = ("complexity", "old_score", "new_score", "version", "reason")
    print_rows(rows, dict.fromkeys(columns), empty="instances use their own scores of it until the learner has one")


def _check_name(name: str, option: str) -> None:
    utf8(name, option)
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise SettingsError(f"{option}: found {len(name)} characters, expected 1 to {MAX_NAME_LENGTH}")
