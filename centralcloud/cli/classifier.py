"""`centralcloud classifier`: train the classifier of tasks on labelled prompts, and choose the version that gateways use."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from msgspec import ValidationError, convert, to_builtins

from centralcloud.cli.arguments import Reason
from centralcloud.cli.context import open_database, read_settings, this_operator
from centralcloud.contracts.task_score import MAX_TASK_TYPES
from centralcloud.runtime.terminal.output import AsJson, print_json, print_line, print_rows, print_text
from centralcloud.runtime.wording import counted, percent

if TYPE_CHECKING:
    from centralcloud.administration.task_classifier.accuracy import HeadResult
    from centralcloud.administration.task_classifier.training import Training
    from centralcloud.administration.task_classifier.versions import Chosen

app = typer.Typer(
    help="Train the classifier of tasks on labelled prompts, and choose the version that gateways use.\n\n"
    "Without a command: `show`.",
    invoke_without_command=True,
)

_QUESTIONS: Final = (("task_types", "task type"), ("levels", "complexity"))
_LABEL_COLUMNS: Final = ("label", "prompts", "found", "right", "taken_for")
_VERSION_COLUMNS: Final = (
    "version",
    "in_use",
    "trained_at",
    "who",
    "prompts",
    "task_type",
    "complexity",
    "kB",
    "reason",
)


@app.callback()
def classifier_group(context: typer.Context, json_output: AsJson = False) -> None:
    """Train the classifier of tasks, and choose the version that gateways use."""
    if context.invoked_subcommand is None:
        show(json_output=json_output)


@app.command("train")
def train_command(
    prompts: Annotated[
        Path,
        typer.Option(
            help="JSON lines with prompt, and task_type, complexity or both; or CSV with these columns. Also gzipped."
        ),
    ],
    task_types: Annotated[
        int, typer.Option(min=2, max=MAX_TASK_TYPES, help="Most task types; the less frequent ones become other.")
    ] = MAX_TASK_TYPES,
    least_confidence: Annotated[
        float,
        typer.Option(min=0, max=1, help="An answer with a lower probability is left to the table of words."),
    ] = 0.5,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the order of the prompts: the same one gives the same result.")
    ] = 0,
    use: Annotated[bool, typer.Option("--use/--no-use", help="Whether gateways use it from now on.")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Train and measure; needs no database, and stores nothing.")
    ] = False,
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Train on labelled prompts, measure on a fifth of them that is held out, and store the result as a new version.

    The prompts stay on this machine: only weights of hashed words are stored. Takes seconds to minutes.
    """
    from centralcloud.administration.task_classifier.labelled_prompts import read_prompts
    from centralcloud.administration.task_classifier.training import train

    settings = read_settings()
    operator = this_operator(reason)
    training = train(
        read_prompts(prompts),
        place=str(prompts),
        task_types=task_types,
        least_confidence=least_confidence,
        seed=seed,
        on_progress=None if json_output else lambda text: print_line(text, err=True),
    )
    version = None
    if not dry_run:
        from centralcloud.administration.task_classifier.versions import store_classifier

        with open_database(settings, "classifier") as database:
            version = store_classifier(database, training, operator, use=use)
    if json_output:
        print_json(_training_json(training, version, used=use and version is not None))
        return
    print_training(training)
    if version is None:
        print_text("nothing was stored")
    else:
        used = (
            "gateways use it within seconds"
            if use
            else f"`centralcloud classifier use {version}` makes gateways use it"
        )
        print_text(f"stored as version {version}; {used}")


@app.command()
def show(
    version: Annotated[int | None, typer.Argument(min=1, help="A version, with the accuracy of each label.")] = None,
    json_output: AsJson = False,
) -> None:
    """Show the versions and which one gateways use, or one version with its accuracy by label."""
    from centralcloud.administration.task_classifier.versions import (
        UnknownClassifierError,
        list_choices,
        list_classifiers,
    )

    with open_database(read_settings(), "classifier") as database:
        stored = list_classifiers(database, most=1000)
        choices = list_choices(database)
    if version is not None:
        found = next((each for each in stored if each.version == version), None)
        if found is None:
            raise UnknownClassifierError(
                f"VERSION: found {version}, expected one that `centralcloud classifier show` lists"
            )
        if json_output:
            print_json(to_builtins(found, builtin_types=(datetime,)))
            return
        used = ", in use" if found.in_use else ""
        print_text(f"version {version}{used}: trained {found.trained_at.astimezone():%Y-%m-%d %H:%M} by {found.who}")
        for key, name in _QUESTIONS:
            if _is_readable(result := found.summary.get(key)):
                _print_result(name, result)
            else:
                print_text(f"{name}: its accuracy is not readable, another version of the program has stored it")
        return
    if json_output:
        rows = to_builtins(stored, builtin_types=(datetime,))
        print_json({"versions": rows, "choices": [each._asdict() for each in choices]})
        return
    in_use = next((each.version for each in stored if each.in_use), None)
    print_text(
        "no trained classifier is in use: a table of words answers" if in_use is None else f"version {in_use} is in use"
    )
    print_rows(
        [_version_row(each) for each in stored],
        dict.fromkeys(_VERSION_COLUMNS),
        empty="none was trained",
        texts=("reason",),
    )


@app.command("use")
def use_command(
    version: Annotated[int, typer.Argument(min=1, help="A version that `show` lists.")],
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Make every gateway use this version, within seconds."""
    _choose(version, reason, json_output=json_output)


@app.command()
def off(reason: Reason = None, json_output: AsJson = False) -> None:
    """Make every gateway use the table of words alone. The versions stay."""
    _choose(None, reason, json_output=json_output)


@app.command()
def rollback(reason: Reason = None, json_output: AsJson = False) -> None:
    """Make every gateway use what it used before the newest change of `train`, `use`, `off` or `rollback`."""
    from centralcloud.administration.task_classifier.versions import roll_back

    operator = this_operator(reason)
    with open_database(read_settings(), "classifier") as database:
        chosen = roll_back(database, operator)
    _print_chosen(chosen, json_output=json_output)


def _choose(version: int | None, reason: str | None, *, json_output: bool) -> None:
    """Choose a version, or the table of words alone, and print the choice."""
    from centralcloud.administration.task_classifier.versions import choose_classifier

    operator = this_operator(reason)
    with open_database(read_settings(), "classifier") as database:
        chosen = choose_classifier(database, version, operator)
    _print_chosen(chosen, json_output=json_output)


def _print_chosen(chosen: "Chosen", *, json_output: bool) -> None:
    if json_output:
        print_json({"before": chosen.before, "version": chosen.version, "changed": chosen.before != chosen.version})
        return
    now = "the table of words" if chosen.version is None else f"version {chosen.version}"
    before = "the table of words" if chosen.before is None else f"version {chosen.before}"
    if chosen.before == chosen.version:
        print_text(f"gateways use {now} already")
    else:
        print_text(f"{before} -> {now}; gateways use it within seconds")


def _training_json(training: "Training", version: int | None, *, used: bool) -> dict[str, Any]:
    return {
        "version": version,
        "in_use": used,
        "prompts": training.prompts,
        "features": training.features,
        "bytes": len(training.data),
        "task_types": to_builtins(training.task_types),
        "levels": to_builtins(training.levels),
    }


def print_training(training: "Training") -> None:
    """Print the size of a classifier and the accuracy of each question."""
    size = f"{len(training.data) / 1000:,.0f} kB"
    print_text(
        f"{counted(training.prompts, 'prompt')}, {counted(training.features, 'word or pair', 'words and pairs')}, {size}"
    )
    for key, name in _QUESTIONS:
        result: HeadResult | None = getattr(training, key)
        _print_result(name, None if result is None else to_builtins(result))


def _print_result(name: str, result: dict[str, Any] | None) -> None:
    """Print the accuracy of one question, and that of each label."""
    if result is None:
        print_text(f"{name}: not trained, there are no two labels with enough prompts; the table of words answers")
        return
    print_text(
        f"{name}: {percent(result['accuracy'])} of {counted(result['held_out'], 'held-out prompt')} right "
        f"(always the most frequent label {percent(result['most_frequent'])}, the table of words "
        f"{percent(result['by_words'])}); {_used_answers(result)}"
    )
    if better := _better_without(result):
        print_text(
            f"{name}: {better} was right more often: train on more prompts or on clearer labels before you use it"
        )
    rows = [
        {
            **each,
            "found": percent(each["found"]),
            "right": None if each["right"] is None else percent(each["right"]),
        }
        for each in result["labels"]
    ]
    print_rows(rows, dict.fromkeys(_LABEL_COLUMNS), empty="", texts=("taken_for",))


def _is_readable(result: object) -> bool:
    """Return whether a stored accuracy is one; a question that was not trained has None."""
    from centralcloud.administration.task_classifier.accuracy import HeadResult

    try:
        convert(result, HeadResult | None)
    except ValidationError:
        return False
    return True


def _used_answers(result: dict[str, Any]) -> str:
    """Say how many answers are used, and how many of these are right."""
    if not result["sure_share"]:
        return "none of the answers is sure enough to be used"
    return (
        f"{percent(result['sure_share'])} of the answers are sure enough to be used, and "
        f"{percent(result['sure_accuracy'])} of these are right"
    )


def _better_without(result: dict[str, Any]) -> str | None:
    """Return what would have been right more often than the classifier; None: nothing."""
    others = ("most_frequent", "always the most frequent label"), ("by_words", "the table of words")
    accuracy, name = max((result[key], name) for key, name in others)
    return name if accuracy > result["accuracy"] else None


def _version_row(stored: Any) -> dict[str, Any]:
    summary = stored.summary

    def accuracy(key: str) -> str | None:
        result = summary.get(key)
        return percent(result["accuracy"]) if result is not None and _is_readable(result) else None

    return {
        "version": stored.version,
        "in_use": "yes" if stored.in_use else None,
        "trained_at": stored.trained_at,
        "who": stored.who,
        "prompts": summary.get("prompts"),
        "task_type": accuracy("task_types"),
        "complexity": accuracy("levels"),
        "kB": None if stored.bytes is None else round(stored.bytes / 1000),
        "reason": stored.reason,
    }
