"""`centralcloud simulate`: a rule tried on recorded outcomes, or an experiment."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, cast

import typer

from centralcloud.cli.arguments import parse_moment
from centralcloud.cli.context import open_database, read_settings
from centralcloud.cli.simulate_experiment import simulate_experiment_file
from centralcloud.contracts import SettingsError
from centralcloud.runtime.terminal.output import AsJson, print_json, print_table, print_text
from centralcloud.runtime.wording import counted, decimals, percent

if TYPE_CHECKING:
    from centralcloud.contracts.model_choice.selection import SelectionMode
    from centralcloud.simulate.comparison import World
    from centralcloud.simulate.records import Records

_MOST_SEEDS: Final = 10_000
_DEFAULT_LENGTH: Final = timedelta(days=14)
_UNCHANGING: Final = {"phases": [{"events": 20_000}]}
_SEEDS_OF_EXPERIMENTS: Final = "0-99"
_SELECTIONS: Final = ("auto", "thompson", "greedy")
#: The measures that the table shows, with their formats; --json has more.
_SHOWN: Final[Mapping[str, str]] = {
    "reward": "{:.4f}",
    "oracle_reward": "{:.4f}",
    "typed_oracle_reward": "{:.4f}",
    "regret_percent": "{:.2f}%",
    "success_rate": "{:.1%}",
    "success_regret_percent": "{:.2f}%",
    "pairs_ordered_right": "{:.1%}",
    "saturated_share": "{:.1%}",
    "tied_share": "{:.1%}",
    "probe_share": "{:.2%}",
    "mean_latency_ms": "{:,.0f}",
    "mean_cost_usd": "{:.6f}",
    "busiest_share": "{:.1%}",
    "events_to_detect": "{:,.0f}",
    "events_to_recover": "{:,.0f}",
    "false_alarms": "{:.2f}",
    "ticks_to_quarantine": "{:.1f}",
    "honest_exclusions": "{:.2f}",
    "wall_seconds": "{:.2f}",
}


def simulate(
    context: typer.Context,
    outcomes: Annotated[Path | None, typer.Option(help="Table of outcomes: CSV, also gzipped.")] = None,
    scenario: Annotated[
        Path | None,
        typer.Option(
            help="The course of events: JSON. By default, with --from-records, 20,000 tasks without a change."
        ),
    ] = None,
    rule: Annotated[
        str,
        typer.Option(
            help="threshold, adaptive, an installed rule, or thompson, thompson-half-life, best-fixed, random."
        ),
    ] = "adaptive",
    seeds: Annotated[
        str, typer.Option(help="One run for each of these: 7, 0-19, or 1,3,5-8; with --experiment, by default 0-99.")
    ] = "0-19",
    selection: Annotated[
        str, typer.Option(help="How instances choose: auto (as the rule's scores allow), thompson or greedy.")
    ] = "auto",
    jobs: Annotated[int | None, typer.Option(min=1, max=1024, help="Processes; without it, one for each core.")] = None,
    from_records: Annotated[
        bool, typer.Option("--from-records", help="Instead of a table: what the recorded outcomes of this site allow.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(help="With --from-records: from then on, 2026-11-20T14:00 or an age like 24h; by default 14d."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="With --from-records: until then, by default now.")] = None,
    experiment: Annotated[
        Path | None,
        typer.Option(
            help="Instead of a rule: the arms, the traffic and the troubles of a canary or an A/B test: JSON."
        ),
    ] = None,
    json_output: AsJson = False,
) -> None:
    """Try a rule on recorded outcomes, without a database.

    Replays a course of events in which models change and instances report falsely, with the real rule and the real
    router, and shows the loss against the best model for each complexity. With --from-records the outcomes are those of
    this site: it reads them from the database, and says what they cannot tell.

    With --experiment it tries a canary or an A/B test before it is run: how often it ends how, when, and what it
    costs in traffic.
    """
    if experiment is not None:
        _refuse_with_experiment(context)
        numbers = parse_seeds(seeds if _is_given(context, "seeds") else _SEEDS_OF_EXPERIMENTS)
        simulate_experiment_file(experiment, numbers, jobs, as_json=json_output)
        return
    if selection not in _SELECTIONS:
        raise SettingsError(f"--selection: found {selection!r}, expected one of {', '.join(_SELECTIONS)}")
    numbers = parse_seeds(seeds)
    from centralcloud.simulate.candidates import check_rule

    check_rule(rule)
    mode = cast("SelectionMode", selection)
    if from_records:
        if outcomes is not None:
            raise SettingsError("found --outcomes and --from-records, expected one of them")
        period = _period(since, until)
        _simulate_records(
            _read_records(*period), period, scenario, _Runs(rule, numbers, mode, jobs), as_json=json_output
        )
        return
    if since is not None or until is not None:
        raise SettingsError("found --since or --until without --from-records, expected both")
    if outcomes is None or scenario is None:
        missing = "--outcomes" if outcomes is None else "--scenario"
        raise SettingsError(f"{missing} is required, or --from-records, or --experiment")
    _simulate_table(outcomes, scenario, _Runs(rule, numbers, mode, jobs), as_json=json_output)


def _refuse_with_experiment(context: typer.Context) -> None:
    for name in ("outcomes", "scenario", "rule", "selection", "from_records", "since", "until"):
        if _is_given(context, name):
            raise SettingsError(f"found --{name.replace('_', '-')} and --experiment, expected one of them")


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


class _Runs(NamedTuple):
    """The runs that were asked for."""

    rule: str
    seeds: list[int]
    selection: "SelectionMode"
    jobs: int | None

    def of(self, world: "World") -> dict[str, Any]:
        from centralcloud.simulate.comparison import compare

        return compare(world, self.rule, self.seeds, selection=self.selection, jobs=self.jobs)


def _simulate_table(outcomes: Path, scenario: Path, runs: _Runs, *, as_json: bool) -> None:
    from centralcloud.simulate.ground_truth import make_ground_truth
    from centralcloud.simulate.outcomes import read_outcomes
    from centralcloud.simulate.scenario_file import read_scenario

    table = read_outcomes(outcomes)
    course = read_scenario(scenario, table)
    result = runs.of(make_ground_truth(course, table.table(course.answering)))
    if as_json:
        print_json({"outcomes": str(outcomes), "scenario": str(scenario), "models": list(course.models), **result})
        return
    _show(result)
    if estimated := result["estimated_share"]["mean"]:
        print_text(
            f"The table has holes: the outcomes of {percent(estimated)} of the tasks are estimated. Whatever they hide, the "
            f"reward lies between {decimals(result['reward_at_least']['mean'], 4)} and "
            f"{decimals(result['reward_at_most']['mean'], 4)}."
        )


def _period(since: str | None, until: str | None) -> tuple[datetime, datetime]:
    end = parse_moment(until, "--until") if until else datetime.now(UTC)
    begin = parse_moment(since, "--since") if since else end - _DEFAULT_LENGTH
    if begin >= end:
        raise SettingsError(
            f"found --since {begin:%Y-%m-%dT%H:%M} after --until {end:%Y-%m-%dT%H:%M}, expected a time before it"
        )
    return begin, end


def _read_records(since: datetime, until: datetime) -> "Records":
    from centralcloud.simulate.records import read_records

    with open_database(read_settings(), "simulate") as database, database.transaction(limit_seconds=None) as connection:
        connection.execute("SET TRANSACTION READ ONLY")
        return read_records(connection, since, until)


def _simulate_records(
    records: "Records", period: tuple[datetime, datetime], scenario: Path | None, runs: _Runs, *, as_json: bool
) -> None:
    from centralcloud.simulate.records import RecordedWorld
    from centralcloud.simulate.scenario_file import read_scenario, scenario_from

    course = read_scenario(scenario, records) if scenario else scenario_from(_UNCHANGING, records)
    if not course.complexities:
        course = replace(course, complexities=records.shares)
    result = runs.of(RecordedWorld(course, records))
    was = records.as_it_was(course.weights)
    if as_json:
        found = {
            "since": period[0].isoformat(),
            "until": period[1].isoformat(),
            "outcomes": len(records.outcomes),
            "complexities": records.shares,
            "as_it_was": was,
            "pairs": records.pairs,
            "unknown": records.unknown,
        }
        print_json({"records": found, "scenario": str(scenario or ""), "models": list(course.models), **result})
        return
    _show(result)
    print_text(
        f"As it was: reward {decimals(was['reward'], 4)}, success rate {percent(was['success_rate'])}, of "
        f"{counted(len(records.outcomes), 'outcome')} since {period[0].astimezone():%Y-%m-%d %H:%M}."
    )
    print_text("The log cannot tell:")
    for sentence in records.unknown:
        print_text(f"- {sentence}.")


def parse_seeds(text: str) -> list[int]:
    """Parse seeds like 7, 0-19 or 1,3,5-8: each once, in the order given.

    Raises:
        SettingsError: the text is none of these, or names too many.
    """
    seeds: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part.strip(), re.ASCII)
        if not match:
            raise SettingsError(f"--seeds: found {text!r}, expected seeds like 7, 0-19 or 1,3,5-8")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or len(seeds) + last - first >= _MOST_SEEDS:
            raise SettingsError(f"--seeds: found {part!r}, expected from 1 to {_MOST_SEEDS:,} seeds, the lower first")
        seeds.update(dict.fromkeys(range(first, last + 1)))
    return list(seeds)


def _show(result: Mapping[str, Any]) -> None:
    phases = result["phases"]
    several = len(phases) > 1
    columns = ["measure", "mean", "95% interval", *(f"phase {i}" for i in range(1, len(phases) + 1) if several)]
    rows = [
        [
            name,
            _number(result[name]["mean"], form),
            _interval(result[name], form),
            *(_number(phase.get(name, {}).get("mean"), form) for phase in phases if several),
        ]
        for name, form in _SHOWN.items()
        if result[name]["mean"] is not None
    ]
    print_table(columns, rows, empty="")
    print_text(
        f"{result['rule']}: {len(result['seeds'])} runs of {result['events']:,} tasks "
        f"in {decimals(result['elapsed_seconds'], 1)} s"
    )


def _number(value: float | None, form: str) -> str | None:
    return None if value is None else form.format(value)


def _interval(estimate: Mapping[str, Any], form: str) -> str | None:
    if estimate["low"] is None:
        return None
    return f"{form.format(estimate['low'])} to {form.format(estimate['high'])}"
