"""`centralcloud scores`: what was learned, why, and what an operator says about it; `freeze` and `unfreeze`."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from centralcloud.cli.context import open_database, read_settings
from centralcloud.contracts import COMPLEXITIES, SettingsError
from centralcloud.runtime.cli import AsJson, print_json, print_rows, print_table

app = typer.Typer(help="Show, explain, compare, pin and roll back the learned scores.", invoke_without_command=True)

ModelName = Annotated[str, typer.Argument(help="Name of the model.")]
Complexity = Annotated[str, typer.Argument(help="simple, medium or complex.")]


@app.callback()
def show(
    context: typer.Context,
    compare: Annotated[bool, typer.Option("--compare", help="What every rule would publish, side by side.")] = False,
    json_output: AsJson = False,
) -> None:
    """Show the learned scores and their reasons."""
    from centralcloud.monitoring.reports import current_scores

    if context.invoked_subcommand is not None:
        return
    if compare:
        _compare(json_output=json_output)
        return
    with open_database(read_settings(), "scores") as database, database.transaction() as connection:
        rows = current_scores(connection)
    if json_output:
        print_json(rows)
        return
    columns = ("model", "complexity", "score", "version", "updated_at", "reason")
    print_rows(rows, dict.fromkeys(columns), empty="nothing learned yet")


@app.command()
def explain(model: ModelName, complexity: Complexity, json_output: AsJson = False) -> None:
    """Say why a pair has the score that it has: the numbers behind it, what other rules think, what an operator has said."""
    from centralcloud.monitoring.reports import explain_score

    _check_complexity(complexity)
    with open_database(read_settings(), "scores") as database, database.transaction() as connection:
        known = explain_score(connection, model, complexity)
    if json_output:
        print_json(known)
        return
    published = known["published"]
    if published is None:
        typer.echo(f"{model} ({complexity}): nothing published yet; instances report {known['last_reported_score']}")
    else:
        typer.echo(f"{model} ({complexity}): {published['reason']}")
        typer.echo(f"version {published['version']} by {published['rule']}, published {published['updated_at']}")
    for rule, row in (known["rules"] or {}).items():
        typer.echo(f"{rule} thinks: {row['reason']} (evaluated {row['evaluated_at']})")
    if known["pin"]:
        typer.echo(f"pinned at {known['pin']['score']}, until {known['pin']['expires_at'] or 'it is unpinned'}")
    if known["hold"]:
        typer.echo("rolled back: nothing is published until enough new outcomes have come in")
    if known["retired_at"]:
        typer.echo(f"retired {known['retired_at']}")
    if known["frozen_at"]:
        typer.echo(f"learning is frozen since {known['frozen_at']}: {known['frozen_reason']}")


@app.command()
def history(
    model: Annotated[str | None, typer.Argument(help="Only this model.")] = None,
    complexity: Annotated[str | None, typer.Option(help="Only this complexity.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="So many, newest first.")] = 50,
    json_output: AsJson = False,
) -> None:
    """Show the scores that ever stood, newest first, each with its version and reason."""
    from centralcloud.monitoring.reports import score_history

    if complexity is not None:
        _check_complexity(complexity)
    with open_database(read_settings(), "scores") as database, database.transaction() as connection:
        rows = score_history(connection, model=model, complexity=complexity, limit=limit)
    if json_output:
        print_json(rows)
        return
    columns = ("version", "created_at", "model", "complexity", "old_score", "new_score", "rule", "kind", "reason")
    print_rows(rows, dict.fromkeys(columns), empty="no score was ever published" + (f" for {model}" if model else ""))


@app.command()
def rollback(
    to: Annotated[int, typer.Option("--to", min=1, help="The version that is to be the newest again.")],
    json_output: AsJson = False,
) -> None:
    """Publish the scores that stood at a version, as new versions, and say what that undid.

    What has come in up to now is not held against them again: a pair changes once enough new outcomes are in. Pins stay.
    """
    from centralcloud.administration.score_overrides import roll_back

    settings = read_settings()
    with open_database(settings, "scores") as database:
        done = roll_back(database, settings.rules, to, settings.reference)
    undone = [change._asdict() for change in done.undone]
    if json_output:
        print_json({"to_version": done.to_version, "undone": undone})
        return
    columns = ("model", "complexity", "old_score", "new_score", "version", "reason")
    print_rows(undone, dict.fromkeys(columns), empty=f"the scores are already those of version {to}")


@app.command()
def pin(
    model: ModelName,
    complexity: Complexity,
    value: Annotated[str, typer.Argument(help="The score, 0 to 5, at most three places.")],
    until: Annotated[str | None, typer.Option(help="Until this time (ISO 8601; no zone: UTC).")] = None,
    json_output: AsJson = False,
) -> None:
    """Set a score, and keep it whatever is learned."""
    from centralcloud.administration.score_overrides import pin as set_pin

    _check_complexity(complexity)
    score, end = _score(value), _time(until)
    with open_database(read_settings(), "scores") as database:
        change = set_pin(database, (model, complexity), score, end)
    if json_output:
        print_json(change._asdict())
    else:
        typer.echo(f"{model} ({complexity}): {change.old_score:.3f} -> {change.new_score:.3f}, {change.reason}")


@app.command()
def unpin(model: ModelName, complexity: Complexity) -> None:
    """Take a pin back: the next run of the learner publishes what its rule thinks."""
    from centralcloud.administration.score_overrides import unpin as take_pin_back

    _check_complexity(complexity)
    with open_database(read_settings(), "scores") as database:
        take_pin_back(database, (model, complexity))
    typer.echo(
        f"{model} ({complexity}) is no longer pinned; the next run of the learner publishes what its rule thinks"
    )


def freeze(reason: Annotated[str, typer.Option(help="Why, for whoever finds it frozen.")]) -> None:
    """Publish no learned scores until unfreeze. The rules go on learning in the shadow; pins and rollbacks still work."""
    from centralcloud.administration.score_overrides import freeze as stand_still

    if not reason.strip():
        raise SettingsError("--reason is empty: expected why, for whoever finds it frozen")
    with open_database(read_settings(), "freeze") as database:
        stand_still(database, reason)
    typer.echo(f"frozen: nothing is published until `centralcloud unfreeze` ({reason})")


def unfreeze() -> None:
    """Publish learned scores again, from the next run of the learner on."""
    from centralcloud.administration.score_overrides import unfreeze as go_on

    with open_database(read_settings(), "unfreeze") as database:
        was_frozen = go_on(database)
    typer.echo("published again from the next run of the learner on" if was_frozen else "nothing was frozen")


def _compare(*, json_output: bool) -> None:
    from centralcloud.monitoring.reports import compare_rules

    settings = read_settings()
    active = settings.rules[0].name
    with open_database(settings, "scores") as database, database.transaction() as connection:
        rows = compare_rules(connection)
    rules = sorted({rule for row in rows for rule in row["scores"]} | {active}, key=lambda rule: (rule != active, rule))
    choices = {complexity: {rule: _choice(rows, rule, complexity) for rule in rules} for complexity in COMPLEXITIES}
    differ = {complexity: len(set(made.values()) - {None}) > 1 for complexity, made in choices.items()}
    if json_output:
        chosen = [{"complexity": each, "choices": choices[each], "differ": differ[each]} for each in COMPLEXITIES]
        print_json({"active": active, "pairs": rows, "choices": chosen})
        return
    cells = [
        (row["model"], row["complexity"], row["published"], *(row["scores"].get(rule) for rule in rules))
        for row in rows
    ]
    titles = [f"{rule} (active)" if rule == active else rule for rule in rules]
    print_table(["model", "complexity", "published", *titles], cells, empty="nothing learned yet")
    for complexity, made in choices.items():
        words = ", ".join(f"{rule}: {model}" for rule, model in made.items() if model)
        if words:
            verdict = "they would choose differently" if differ[complexity] else "the same choice"
            typer.echo(f"{complexity}: {verdict} ({words})")


def _choice(rows: list[dict[str, Any]], rule: str, complexity: str) -> str | None:
    """The model that has the highest score; None when the rule has scored none."""
    scored = [row for row in rows if row["complexity"] == complexity and rule in row["scores"]]
    return max(scored, key=lambda row: row["scores"][rule])["model"] if scored else None


def _check_complexity(complexity: str) -> None:
    if complexity not in COMPLEXITIES:
        raise SettingsError(f"COMPLEXITY is {complexity!r}: expected one of {', '.join(COMPLEXITIES)}")


def _score(text: str) -> Decimal:
    try:
        score = Decimal(text)
    except InvalidOperation:
        score = Decimal("NaN")
    if not score.is_finite() or not 0 <= score <= 5 or score != round(score, 3):
        raise SettingsError(f"VALUE is {text!r}: expected a number from 0 to 5 with at most three places")
    return score.quantize(Decimal("0.001"))


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"--until is {text!r}: expected an ISO 8601 time such as 2026-12-24T18:00") from None
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    if time <= datetime.now(UTC):
        raise SettingsError(f"--until is {text!r}: expected a time to come")
    return time
