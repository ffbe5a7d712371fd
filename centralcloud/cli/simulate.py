"""`centralcloud simulate`: a rule tried on recorded outcomes."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from centralcloud.contracts import SettingsError
from centralcloud.runtime.terminal.output import AsJson, print_json, print_table, print_text
from centralcloud.runtime.wording import decimals

if TYPE_CHECKING:
    from instance_agent.routing.selection import SelectionMode

_MOST_SEEDS: Final = 10_000
_SELECTIONS: Final = ("auto", "thompson", "greedy")
#: The measures that the table shows, with their formats; --json has more.
_SHOWN: Final[Mapping[str, str]] = {
    "reward": "{:.4f}",
    "oracle_reward": "{:.4f}",
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
    outcomes: Annotated[Path, typer.Option(help="Table of outcomes: CSV, also gzipped.")],
    scenario: Annotated[Path, typer.Option(help="The course of events: JSON.")],
    rule: Annotated[
        str,
        typer.Option(
            help="threshold, adaptive, an installed rule, or thompson, thompson-half-life, best-fixed, random."
        ),
    ] = "adaptive",
    seeds: Annotated[str, typer.Option(help="One run for each of these: 7, 0-19, or 1,3,5-8.")] = "0-19",
    selection: Annotated[
        str, typer.Option(help="How instances choose: auto (as the rule's scores allow), thompson or greedy.")
    ] = "auto",
    jobs: Annotated[int | None, typer.Option(min=1, max=1024, help="Processes; without it, one for each core.")] = None,
    json_output: AsJson = False,
) -> None:
    """Try a rule on recorded outcomes, without a database.

    Replays a course of events in which models change and instances report falsely, with the real rule and the real
    router, and shows the loss against the best model for each complexity.
    """
    from centralcloud.simulate.candidates import check_rule
    from centralcloud.simulate.comparison import compare
    from centralcloud.simulate.ground_truth import make_ground_truth
    from centralcloud.simulate.outcomes import read_outcomes
    from centralcloud.simulate.scenario_file import read_scenario

    if selection not in _SELECTIONS:
        raise SettingsError(f"--selection: found {selection!r}, expected one of {', '.join(_SELECTIONS)}")
    numbers = parse_seeds(seeds)
    check_rule(rule)
    table = read_outcomes(outcomes)
    course = read_scenario(scenario, table)
    ground_truth = make_ground_truth(course, table.table(course.answering))
    result = compare(ground_truth, rule, numbers, selection=cast("SelectionMode", selection), jobs=jobs)
    if json_output:
        print_json({"outcomes": str(outcomes), "scenario": str(scenario), "models": list(course.models), **result})
    else:
        _show(result)


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
