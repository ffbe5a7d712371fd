"""`centralcloud scores`: the learned scores, the reasons for them, and overrides by an operator."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from centralcloud.cli.arguments import Reason, in_order, refuse_empty
from centralcloud.cli.context import open_database, read_fleet_settings, read_settings, this_operator
from centralcloud.cli.report import as_json
from centralcloud.contracts import COMPLEXITIES, SettingsError
from centralcloud.runtime.commands.arguments import utf8
from centralcloud.runtime.terminal.output import AsJson, print_json, print_rows, print_table, print_text
from centralcloud.runtime.wording import decimals

if TYPE_CHECKING:
    from centralcloud.evaluation.report import OffPolicy
    from centralcloud.monitoring.score_canaries import ScoreCanaries

app = typer.Typer(help="Show, explain, compare, pin and roll back scores.", invoke_without_command=True)

#: The decisions by which `--compare` values the rules: the newest ones of this time, so that it answers at once.
_VALUED_TIME: Final = timedelta(days=7)
_MOST_VALUED: Final = 50_000

ModelName = Annotated[str, typer.Argument(help="Name of the model.")]
Complexity = Annotated[str, typer.Argument(help="simple, medium or complex.")]


@app.callback()
def show(
    context: typer.Context,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="The score of every rule, side by side, and what each was worth by the log."),
    ] = False,
    task_types: Annotated[
        bool, typer.Option("--task-types", help="The scores for tasks of one type, the best model first.")
    ] = False,
    json_output: AsJson = False,
) -> None:
    """Show the learned scores and their reasons."""
    from centralcloud.monitoring.reports import current_scores, current_task_scores
    from centralcloud.monitoring.score_canaries import read_score_canaries

    if context.invoked_subcommand is not None:
        return
    if compare and task_types:
        raise SettingsError("found --compare and --task-types, expected one of them")
    if compare:
        _compare(json_output=json_output)
        return
    if task_types:
        with open_database(read_settings(), "scores") as database, database.transaction() as connection:
            rows = current_task_scores(connection)
        if json_output:
            print_json(rows)
            return
        shown = ("task_type", "complexity", "model", "score", "difference", "outcomes", "n_eff", "version")
        print_rows(rows, dict.fromkeys(shown), empty="no score of a task type was published yet")
        return
    with open_database(read_settings(), "scores") as database, database.transaction() as connection:
        rows = current_scores(connection)
        canaries = read_score_canaries(connection)
    if json_output:
        print_json([{**row, "canary": _canary_of(canaries, row["model"], row["complexity"])} for row in rows])
        return
    columns = ("model", "complexity", "score", "version", "updated_at", "reason")
    print_rows(rows, dict.fromkeys(columns), empty="nothing learned yet", texts=("reason",))
    for each in canaries.waiting:
        print_text(str(each))


@app.command()
def explain(model: ModelName, complexity: Complexity, json_output: AsJson = False) -> None:
    """Explain the score of a pair: the numbers behind it, the scores of the other rules, overrides by an operator."""
    from centralcloud.monitoring.reports import explain_score
    from centralcloud.monitoring.score_canaries import read_score_canaries

    utf8(model, "MODEL")
    _check_complexity(complexity)
    with open_database(read_settings(), "scores") as database, database.transaction() as connection:
        known = explain_score(connection, model, complexity)
        canaries = read_score_canaries(connection)
    if json_output:
        print_json({**known, "canary": _canary_of(canaries, model, complexity)})
        return
    published = known["published"]
    if published is None:
        print_text(f"{model} ({complexity}): nothing published yet; instances report {known['last_reported_score']}")
    else:
        print_text(f"{model} ({complexity}): {published['reason']}")
        print_text(f"version {published['version']} by {published['rule']}, published {published['updated_at']}")
    for rule, row in (known["rules"] or {}).items():
        print_text(f"{rule}: {row['reason']} (evaluated {row['evaluated_at']})")
    if "adaptive" in (known["rules"] or {}):
        print_text(
            "The interval of adaptive contains the true success rate since the time before it with a probability of at "
            "least 90%, however often you look, if the model has not changed since that time."
        )
    if (waiting := canaries.of(model, complexity)) is not None:
        print_text(f"a score of {decimals(waiting[1].score, 3)} is held back; {waiting[0]}")
    if known["pin"]:
        print_text(f"pinned at {known['pin']['score']}, until {known['pin']['expires_at'] or 'it is unpinned'}")
    if known["hold"]:
        print_text("rolled back: nothing is published until enough new outcomes have arrived")
    if known["retired_at"]:
        print_text(f"retired {known['retired_at']}")
    if known["frozen_at"]:
        print_text(f"publishing is frozen since {known['frozen_at']}: {known['frozen_reason']}")


@app.command()
def history(
    model: Annotated[str | None, typer.Argument(help="Only this model.")] = None,
    complexity: Annotated[str | None, typer.Option(help="Only this complexity.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most this many, the newest ones.")] = 50,
    json_output: AsJson = False,
) -> None:
    """Show all scores that were ever published, newest first, each with its version and reason."""
    from centralcloud.monitoring.reports import score_history

    refuse_empty(utf8(model, "MODEL"), "MODEL", "a model")
    if complexity is not None:
        _check_complexity(complexity)
    with open_database(read_settings(), "scores") as database, database.transaction() as connection:
        rows = score_history(connection, model=model, complexity=complexity, limit=limit)
    if json_output:
        print_json(rows)
        return
    columns = ("version", "created_at", "model", "complexity", "old_score", "new_score", "rule", "kind", "reason")
    empty = "no score was ever published" + (f" for {model}" if model else "")
    print_rows(rows, dict.fromkeys(columns), empty=empty, texts=("reason",), heading="model")


@app.command()
def rollback(
    to: Annotated[int, typer.Option("--to", min=1, help="The version to go back to.")],
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Publish the scores of an earlier version again, as new versions, and show what that undoes.

    The evidence up to now does not count again: a pair changes once enough new outcomes have arrived. Pins stay.
    """
    from centralcloud.administration.score_overrides import roll_back

    settings = read_settings()
    operator = this_operator(reason)
    with open_database(settings, "scores") as database:
        fleet = read_fleet_settings(settings, database)
        done = roll_back(database, fleet.rules, to, fleet.reference, operator)
    undone = [change._asdict() for change in done.undone]
    if json_output:
        print_json({"to_version": done.to_version, "undone": undone})
        return
    columns = ("model", "complexity", "old_score", "new_score", "version", "reason")
    print_rows(
        in_order(undone),
        dict.fromkeys(columns),
        empty=f"the scores are already those of version {to}",
        texts=("reason",),
    )


@app.command()
def pin(
    model: ModelName,
    complexity: Complexity,
    value: Annotated[str, typer.Argument(help="The score: 0 to 5, at most three decimal places.")],
    until: Annotated[str | None, typer.Option(help="Until this time (ISO 8601; no zone: UTC).")] = None,
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Set a score and keep it: learned scores do not replace it."""
    from centralcloud.administration.score_overrides import pin as set_pin

    utf8(model, "MODEL")
    _check_complexity(complexity)
    score, end = _score(value), _time(until)
    operator = this_operator(reason)
    with open_database(read_settings(), "scores") as database:
        change = set_pin(database, (model, complexity), score, end, operator)
    if json_output:
        print_json(change._asdict())
    else:
        print_text(f"{model} ({complexity}): {change.old_score:.3f} -> {change.new_score:.3f}, {change.reason}")


@app.command()
def unpin(model: ModelName, complexity: Complexity, reason: Reason = None, json_output: AsJson = False) -> None:
    """Remove a pin: the next run of the learner publishes the score of its rule."""
    from centralcloud.administration.score_overrides import unpin as remove_pin

    utf8(model, "MODEL")
    _check_complexity(complexity)
    operator = this_operator(reason)
    with open_database(read_settings(), "scores") as database:
        remove_pin(database, (model, complexity), operator)
    if json_output:
        print_json({"model": model, "complexity": complexity, "pinned": False})
    else:
        print_text(
            f"{model} ({complexity}) is no longer pinned; the next run of the learner publishes the score of its rule"
        )


def _compare(*, json_output: bool) -> None:
    from centralcloud.monitoring.reports import compare_rules, publishing_rule

    with open_database(read_settings(), "scores") as database, database.transaction() as connection:
        rows = compare_rules(connection)
        published_by = publishing_rule(rows)
    valued = _value_rules() if rows else None
    names = {rule for row in rows for rule in row["scores"]}
    rules = sorted(names, key=lambda rule: (rule != published_by, rule))
    choices = {complexity: {rule: _choice(rows, rule, complexity) for rule in rules} for complexity in COMPLEXITIES}
    differ = {complexity: len(set(made.values()) - {None}) > 1 for complexity, made in choices.items()}
    if json_output:
        chosen = [{"complexity": each, "choices": choices[each], "differ": differ[each]} for each in COMPLEXITIES]
        by_log = None if isinstance(valued, str) else as_json(valued)
        print_json({"published_by": published_by, "pairs": rows, "choices": chosen, "by_log": by_log})
        return
    cells = [
        (
            row["model"],
            row["complexity"],
            *(
                None if score is None else decimals(score, 3)
                for score in (row["published"], *map(row["scores"].get, rules))
            ),
        )
        for row in rows
    ]
    titles = [f"{rule} (published)" if rule == published_by else rule for rule in rules]
    print_table(["model", "complexity", "published", *titles], cells, empty="nothing learned yet")
    for complexity, made in choices.items():
        words = ", ".join(f"{rule}: {model}" for rule, model in made.items() if model)
        if words:
            verdict = "they would choose differently" if differ[complexity] else "the same choice"
            print_text(f"{complexity}: {verdict} ({words})")
    if valued is not None:
        _print_values(valued)


def _value_rules() -> "OffPolicy | str":
    """Return what the published scores and those of each rule were worth by the log, or why it cannot be read."""
    from psycopg.errors import InsufficientPrivilege

    from centralcloud.evaluation.reading import read_published, read_rules
    from centralcloud.evaluation.report import value_tables

    until = datetime.now(UTC)
    try:
        with open_database(read_settings(), "scores") as database, database.transaction() as connection:
            tables = [read_published(connection), *read_rules(connection).values()]
            return value_tables(connection, tables, until - _VALUED_TIME, until, most=_MOST_VALUED)
    except InsufficientPrivilege as error:
        return f"{error.diag.message_primary}: expected a login with the rights of centralcloud_worker"


def _print_values(valued: "OffPolicy | str") -> None:
    from centralcloud.evaluation.text import VALUE_TITLES, off_policy_lines, value_rows

    print_text("")
    if isinstance(valued, str):
        print_text(f"Success by the log: not known, {valued}")
    elif not valued.decisions:
        print_text("Success by the log: not known, no decision of the last 7 days was drawn and has an outcome")
    else:
        print_text("Success by the log of the last 7 days, if routers had used these scores:")
        print_table(VALUE_TITLES, value_rows(valued.tables), empty="")
        for line in off_policy_lines(valued):
            print_text(line)


def _canary_of(canaries: "ScoreCanaries", model: str, complexity: str) -> dict[str, Any] | None:
    """Return the canary that keeps a score waiting, for programs; None: none does."""
    if (found := canaries.of(model, complexity)) is None:
        return None
    canary, score = found
    again_at = canary.again_at.isoformat() if canary.again_at else None
    return {"experiment": canary.experiment.id, "score": score.score, "again_at": again_at}


def _choice(rows: list[dict[str, Any]], rule: str, complexity: str) -> str | None:
    """Return the model with the highest score; None if the rule has scored none."""
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
        raise SettingsError(f"VALUE is {text!r}: expected a number from 0 to 5 with at most three decimal places")
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
        raise SettingsError(f"--until is {text!r}: expected a time in the future")
    return time
