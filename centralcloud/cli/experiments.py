"""`centralcloud experiments`: canaries and A/B tests of models, policies and score tables."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from centralcloud.cli.arguments import Reason, refuse_empty
from centralcloud.cli.context import open_database, read_fleet_settings, read_settings, this_operator
from centralcloud.cli.experiment_options import (
    check_asked,
    merge,
    plan_options,
    read_experiment_file,
    read_scope,
    scope_options,
    table_reader,
    with_tables,
)
from centralcloud.contracts import SettingsError
from centralcloud.contracts.experiment_changes import paused, promoted, resumed, status_words, stopped
from centralcloud.contracts.fleet_configuration import Experiment, to_body
from centralcloud.experiments.sentences import counted_points
from centralcloud.runtime.commands.arguments import utf8
from centralcloud.runtime.terminal.output import AsJson, print_json, print_rows, print_text
from centralcloud.runtime.terminal.prompts import confirm
from centralcloud.runtime.wording import age, counted, percent

if TYPE_CHECKING:
    from centralcloud.administration.experiments import Changed, StageChange
    from centralcloud.runtime.postgres.database import Database

app = typer.Typer(
    help="Try models, policies and score tables on a part of the traffic: canaries and A/B tests.\n\nWithout a command: "
    "`list`.",
    invoke_without_command=True,
)

ExperimentName = Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Id of the experiment, or its name.")]
Several = list[str] | None


@app.callback()
def experiments_group(context: typer.Context, json_output: AsJson = False) -> None:
    """Try models, policies and score tables on a part of the traffic."""
    if context.invoked_subcommand is None:
        list_command(json_output=json_output)


@app.command()
def start(
    file: Annotated[
        str | None, typer.Argument(help="JSON or YAML with name and treatments; - reads standard input.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Text for people; the id is derived from it.")] = None,
    model: Annotated[Several, typer.Option("--model", help="Treatment: this model is tried first.")] = None,
    policy: Annotated[Several, typer.Option("--policy", help="Treatment: this policy serves the requests.")] = None,
    score_table: Annotated[
        Several,
        typer.Option(
            "--score-table",
            help="Treatment: other scores, frozen now: rule:NAME, version:N, time:2026-11-20T14:00, or a file with a list.",
        ),
    ] = None,
    rule: Annotated[
        str | None, typer.Option("--rule", help="Judge the trafficSplit of this rule: its canary is the treatment.")
    ] = None,
    ab: Annotated[
        bool, typer.Option("--ab", help="An A/B test: one share, several treatments, nothing is promoted by itself.")
    ] = False,
    complexity: Annotated[Several, typer.Option("--complexity", help="Only these requests.")] = None,
    task_type: Annotated[Several, typer.Option("--task-type", help="Only these requests.")] = None,
    workspace: Annotated[Several, typer.Option("--workspace", help="Only these requests.")] = None,
    served_by: Annotated[
        Several, typer.Option("--served-by", help="Only requests that this policy would serve.")
    ] = None,
    requested: Annotated[
        Several, typer.Option("--requested", help="Only requests for this name, such as policy:fast; without it, auto.")
    ] = None,
    steps: Annotated[
        str | None, typer.Option(help="Shares in percent, such as 1,5,25,50; an A/B test has one.")
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="A success rate that is lower by so many points is worse. Default: by traffic.")
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="Probability of a promotion in error; 0.05.")] = None,
    dwell: Annotated[str | None, typer.Option(help="Shortest time on a step; 10m.")] = None,
    horizon: Annotated[str | None, typer.Option(help="Ends undecided after this time; 14d.")] = None,
    timeout: Annotated[
        str | None,
        typer.Option(help="Longest time of a request: without an outcome a minute later it has failed; 10m."),
    ] = None,
    slo: Annotated[
        str | None, typer.Option(help="An answer that takes longer breaks the objective, such as 5s.")
    ] = None,
    no_worse: Annotated[
        bool, typer.Option("--no-worse", help="Promote a canary that is no worse; else it must be better in something.")
    ] = False,
    fields: Annotated[
        Several, typer.Option("--set", help="Another field of the plan: FIELD=VALUE, such as retries=0.")
    ] = None,
    any_model: Annotated[
        bool, typer.Option("--any-model", help="Accept a model that only the catalog of a gateway has.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Validate and show it, and write nothing.")] = False,
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Start a canary, or an A/B test: from options, a file, or a file with options over it.

    A canary begins with 1% of the sessions. It steps up while it is safe, is promoted when it is proven no worse and
    better in something, and is rolled back when it is worse.
    """
    from centralcloud.administration import score_tables
    from centralcloud.administration.experiments import start as start_experiment

    refuse_empty(file, "FILE", "the path of a file")
    for texts, option, expected in (
        (model, "--model", "the name of a model"),
        (policy, "--policy", "the name of a policy"),
        (score_table, "--score-table", "rule:NAME, version:N, time:TIME or a file"),
    ):
        for text in texts or ():
            refuse_empty(text, option, expected)
    base = {} if file is None else read_experiment_file(file)
    options = {
        "name": utf8(name, "--name"),
        "kind": "ab" if ab else None,
        "scope": scope_options(complexity or (), task_type or (), workspace or (), served_by or (), requested or ()),
        "treatments": _treatments(model, policy, score_table),
        "plan": plan_options(
            steps=steps, margin=margin, alpha=alpha, dwell=dwell, horizon=horizon, timeout=timeout, slo=slo,
            no_worse=no_worse, fields=fields or (),
        ),
    }  # fmt: skip
    refuse_empty(name, "--name", "a name")
    asked = merge(base, options)
    if rule is None and "treatments" not in asked:
        raise SettingsError("found no treatment, expected --model, --policy, --score-table, --rule or a FILE with some")
    complexities = read_scope(asked).complexities
    operator = this_operator(reason)
    # The role that changes the configuration may not read the revision of the schema.
    with open_database(read_settings(), "experiments", checked=False) as database:
        with database.transaction() as connection:
            read_table = table_reader(
                complexities,
                partial(score_tables.table_of_rule, connection),
                partial(score_tables.table_of_version, connection),
                partial(score_tables.table_of_time, connection),
            )
            asked = with_tables(asked, read_table)
            if _names_table(asked.get("treatments")):
                score_tables.differing(connection, ())  # a login that may not read scores is refused before the start
        asked.setdefault("name", _default_name(asked)) if rule is None else None
        if rule is None:
            check_asked(asked, "experiment")
        started = start_experiment(
            database, asked, operator, field="experiment", rule=rule, any_model=any_model, dry_run=dry_run
        )
        notes = [*started.notes, *_about_tables(database, started.experiment)]
    if json_output:
        body = to_body(started.experiment)
        print_json({"version": started.version, "dry_run": dry_run, "experiment": body, "notes": notes})
        return
    _print_started(started.experiment, notes, dry_run=dry_run, version=started.version)


@app.command("list")
def list_command(
    everything: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    fdr: Annotated[
        float | None,
        typer.Option(help="Mark those that differ, of which at most this share is expected to be wrong, such as 0.1."),
    ] = None,
    json_output: AsJson = False,
) -> None:
    """Show the experiments, and what is known about each treatment."""
    from centralcloud.monitoring.experiments import list_experiments

    if fdr is not None and not 0 < fdr < 1:
        raise SettingsError(f"--fdr is {fdr:g}: expected a share above 0 and below 1")
    with open_database(read_settings(), "experiments") as database, database.transaction() as connection:
        rows = list_experiments(connection, with_ended=everything, rate=fdr)
    if json_output:
        print_json(rows)
        return
    columns: dict[str, Any] = dict.fromkeys(("id", "status", "share", "treatment", "sessions", "odds"))
    columns["share"] = percent
    if fdr is not None:
        columns["differs"] = lambda differs: "yes" if differs else "no"
    columns["result"] = None
    empty = "no experiments" if everything else "no experiment runs; `--all` shows those that have ended"
    print_rows(rows, columns, empty=empty, texts=("result",))


@app.command()
def show(experiment: ExperimentName, json_output: AsJson = False) -> None:
    """Show an experiment: its stage, the results of each treatment, its verdicts and its history."""
    from centralcloud.monitoring.experiments import show_experiment

    utf8(experiment, "EXPERIMENT")
    with open_database(read_settings(), "experiments") as database, database.transaction() as connection:
        shown = show_experiment(connection, experiment)
    if json_output:
        print_json(shown)
        return
    for line in shown["sentences"]:
        print_text(line)
    columns = ("treatment", "metric", "control", "treated", "low", "high", "odds")
    print_rows(shown["results"], dict.fromkeys(columns), empty="nothing is known yet")
    names = [each["name"] for each in shown["experiment"]["treatments"]]
    verdicts = [
        {
            "decided": each["at"],
            "verdict": each["verdict"],
            "treatment": None if each["treatment"] is None else names[each["treatment"]],
            "reason": each["facts"].get("reason"),
        }
        for each in shown["verdicts"]
    ]
    if verdicts:
        print_rows(verdicts, dict.fromkeys(verdicts[0]), empty="", texts=("reason",))
    print_rows(shown["history"], dict.fromkeys(("at", "who", "reason")), empty="", texts=("reason",))


@app.command()
def pause(experiment: ExperimentName, reason: Reason = None, json_output: AsJson = False) -> None:
    """Pause an experiment until `resume`: every session goes to control."""
    _change(experiment, paused, reason, json_output=json_output)


@app.command()
def resume(experiment: ExperimentName, reason: Reason = None, json_output: AsJson = False) -> None:
    """Resume an experiment at its step; one that paused itself begins at its first step."""
    _change(experiment, resumed, reason, json_output=json_output)


@app.command()
def stop(experiment: ExperimentName, reason: Reason = None, json_output: AsJson = False) -> None:
    """End an experiment without a winner: every session goes to control."""
    _change(experiment, stopped, reason, json_output=json_output)


@app.command()
def promote(
    experiment: ExperimentName,
    treatment: Annotated[
        str | None, typer.Argument(metavar="[TREATMENT]", help="Name of the treatment; needed where there are several.")
    ] = None,
    hold: Annotated[
        bool,
        typer.Option("--hold", help="First keep 5% of the sessions at control for holdSeconds, under the guards."),
    ] = False,
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Promote a treatment whatever the evidence says: every session of the scope goes to it. Recorded as done by hand."""
    winner = utf8(treatment, "TREATMENT")
    _change(
        experiment,
        lambda found, now, why: promoted(found, now, winner, why, hold=hold),
        reason,
        json_output=json_output,
        publish=True,
    )


@app.command()
def remove(
    experiment: ExperimentName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, where it was promoted and still routes.")] = False,
    reason: Reason = None,
    json_output: AsJson = False,
) -> None:
    """Remove an experiment that has ended; its verdicts stay. One that was promoted no longer routes then."""
    from centralcloud.administration.experiments import remove_experiment
    from centralcloud.runtime.configuration.experiments import find_in
    from centralcloud.runtime.configuration.writing import read_whole

    utf8(experiment, "EXPERIMENT")
    operator = this_operator(reason)
    with open_database(read_settings(), "experiments", checked=False) as database:
        found = find_in(read_whole(database).configuration.experiments, experiment)
        if found.stage.status == "promoted":
            confirm(
                f"{found.stage.winner} was promoted: without the experiment its sessions go where rules and policies send "
                "them. Remove it?",
                yes=yes,
                otherwise="nothing was removed",
            )
        removed = remove_experiment(database, found.id, operator)
    if json_output:
        print_json({"version": removed.version, "removed": removed.experiment.id})
    else:
        print_text(f"removed: experiment {removed.experiment.id}; its verdicts stay")


def _change(name: str, to: "StageChange", reason: str | None, *, json_output: bool, publish: bool = False) -> None:
    from centralcloud.administration.experiments import change

    utf8(name, "EXPERIMENT")
    operator = this_operator(reason)
    settings = read_settings()
    with open_database(settings, "experiments") as database:
        changed = change(database, name, to, operator)
        scores = None
        if publish and changed.experiment.promoted_table:
            from centralcloud.administration.promoted_scores import publish_promoted

            fleet = read_fleet_settings(settings, database)
            done = publish_promoted(database, fleet.rules, fleet.reference, operator)
            scores = [each._asdict() for each in done.get(changed.experiment.id, [])]
    if json_output:
        document = {"version": changed.version, "experiment": to_body(changed.experiment)}
        print_json(document if scores is None else {**document, "scores": scores})
        return
    _print_changed(changed)
    if scores is not None:
        print_text(f"published {counted(len(scores), 'score')} of its table to the fleet")


def _names_table(treatments: Any) -> bool:
    return isinstance(treatments, list) and any(isinstance(each, dict) and "scoreTable" in each for each in treatments)


def _print_changed(changed: "Changed") -> None:
    experiment, stage = changed.experiment, changed.experiment.stage
    rest = {
        "running": f"{percent(stage.share)} of the sessions, once those from before have ended",
        "paused": "every session goes to control",
        "stopped": "every session goes to control",
        "promoted": f"every session of its scope goes to {stage.winner}",
    }
    if experiment.is_held:
        rest["running"] = (
            f"{percent(stage.share)} of the sessions go to {stage.winner}, once those from before have ended, and all"
            f" in {age(experiment.plan.hold_seconds)} where no guard is reached"
        )
    print_text(
        f"{experiment.id} is {status_words(stage)} in version {changed.version:,} of the configuration: "
        f"{rest[stage.status]}"
    )


def _print_started(experiment: Experiment, notes: list[str], *, dry_run: bool, version: int) -> None:
    plan, stage = experiment.plan, experiment.stage
    kind = "canary" if experiment.kind == "canary" else "A/B test"
    names = ", ".join(each.name for each in experiment.treatments)
    each_one = " each" if len(experiment.treatments) > 1 else ""
    head = "would start" if dry_run else f"started in version {version:,} of the configuration"
    print_text(
        f"{head}: the {kind} {experiment.id}, {names} against control, {_share(stage.share)} of the sessions{each_one}"
    )
    if experiment.kind == "canary":
        steps = ", ".join(_share(each) for each in plan.steps)
        points = counted_points(f"{100 * plan.margin:g}")
        better = ", and better in success, time or cost" if plan.require_better else ""
        print_text(f"steps {steps}; promoted when its success is proven not to be lower by {points}{better}")
        if plan.hold_seconds:
            print_text(f"final {age(plan.hold_seconds)} later: until then 5% of the sessions stay with control")
    for note in notes:
        print_text(note)


def _share(share: float) -> str:
    """Return a share in percent: one that rounds to 0.0% with the digits that show it."""
    return percent(share) if share >= 0.001 else f"{100 * share:.3g}%"


def _treatments(model: Several, policy: Several, tables: Several) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"model": each} for each in model or ()]
    found += [{"policy": each} for each in policy or ()]
    found += [{"scoreTable": each, "name": _table_name(each)} for each in tables or ()]
    return found


def _table_name(text: str) -> str:
    """Return the name of the arm of a score table: a file without its folder."""
    return (text.rpartition("/")[2] if ":" not in text else text)[:200] or "score-table"


def _default_name(asked: dict[str, Any]) -> str:
    """Return a name for an experiment without one: its treatments, which may be anything yet."""
    treatments = asked["treatments"]
    names = []
    for each in treatments if isinstance(treatments, list) else ():
        if isinstance(each, dict):
            found = each.get("name") or each.get("model") or each.get("policy") or "score table"
            names.append(str(found))
    return " and ".join(names)[:200] or "experiment"


def _about_tables(database: "Database", experiment: Experiment) -> list[str]:
    from centralcloud.administration.score_tables import differing

    found = []
    for each in experiment.treatments:
        if each.score_table:
            with database.transaction() as connection:
                count = differing(connection, each.score_table)
            scores = counted(len(each.score_table), "score")
            found.append(f"{each.name}: {scores}, {count:,} of them differ from the published ones; frozen from now on")
    return found
