"""Measure how well each rule routes, on recorded outcomes. Prints one JSON object.

Every scenario of examples/scenarios is run with every rule and every seed, as `centralcloud simulate` does it; the targets
are those of the adaptive rule (docs/explanation/learning.md). With --quick: three seeds, a tenth of `unchanging`.

The table of outcomes is, unless --outcomes names one, ../shared/data/outcomes_bfcl.csv.gz beside the repository (Berkeley
Function Calling Leaderboard, 20 models), and where that is missing an invented one. Task types are tried on
outcomes_mmlu.csv.gz of the same folder (lm-sys/RouteLLM, 2 models), if it is there.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from _outcomes import write_outcomes
from _shared import progress

from centralcloud.learning.rules.registry import BUILT_IN_RULES
from centralcloud.simulate.candidates import BASELINES
from centralcloud.simulate.comparison import compare
from centralcloud.simulate.ground_truth import make_ground_truth
from centralcloud.simulate.outcomes import OutcomeFile, read_outcomes
from centralcloud.simulate.scenario import MOST_TASK_TYPES, Scenario
from centralcloud.simulate.scenario_file import read_scenario, scenario_from

_REPOSITORY: Final = Path(__file__).resolve().parents[1]
_RECORDED: Final = _REPOSITORY.parent / "shared/data/outcomes_bfcl.csv.gz"
_TYPED: Final = _REPOSITORY.parent / "shared/data/outcomes_mmlu.csv.gz"
#: The name of the tasks of that table among the scenarios, and what task types must be worth in them, in points of reward.
_TYPES: Final = "task-types"
_TYPED_POINTS: Final = 0.3
_TYPED_EVENTS: Final = 20_000
_SCENARIOS: Final = _REPOSITORY / "examples/scenarios"
#: Only this rule raises alarms: a million tasks with every rule would take hours and show nothing more.
_LONG: Final = "unchanging"
_JUDGED: Final = "adaptive"
_QUICK_SEEDS: Final = 3
_QUICK_EVENTS: Final = 100_000

_POISONED: Final = ("all-failure", "invert", "fabricate", "flood", "drip", "three")
_DRIP_TICKS: Final = 30
_POISON_TICKS: Final = 10
_POISON_POINTS: Final = 0.6
#: Three liars: their honest past is part of the slices that are compared.
_POISON_POINTS_OF_THREE: Final = 0.8
#: The regret, in percent, that a change may cost in a whole scenario of the recorded table: the regret of the rule when it
#: suspected no rises and its half-life was 3,000 outcomes, less 40% (trailer-becomes-best), 30% (slow-late) or 15%. With
#: trailer-told, it is a quarter less than without being told.
_CHANGES: Final = {
    "trailer-becomes-best": 2.36,
    "trailer-told": 1.66,
    "slow-late": 1.03,
    "flapping": 6.26,
    "two-drifts": 2.69,
}
#: The mean and the largest regret over all other scenarios, in percent.
_MEAN_REGRET: Final = 1.8
_WORST_REGRET: Final = 3.1

_SHOWN: Final = (
    "reward",
    "oracle_reward",
    "typed_oracle_reward",
    "regret_percent",
    "success_regret_percent",
    "pairs_ordered_right",
    "saturated_share",
    "tied_share",
    "probe_share",
    "mean_latency_ms",
    "mean_cost_usd",
    "false_alarms",
    "ticks_to_quarantine",
    "honest_exclusions",
    "rule_milliseconds_per_tick",
    "microseconds_per_event",
)
_SHOWN_OF_PHASES: Final = ("regret_percent", "events_to_detect", "events_to_recover")

Results = dict[str, dict[str, Any]]


class Target(NamedTuple):
    """A target for the adaptive rule.

    Attributes:
        value: the value reached, from the results of all rules by scenario; None if it was never reached.
        at_most: the target is an upper bound, else a lower one.
    """

    scenario: str
    what: str
    value: Callable[[Results], float | None]
    bound: float
    at_most: bool = True


def main() -> None:
    """Run everything and print the result."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.outcomes or _RECORDED
        if not path.exists() and arguments.outcomes is None:
            path = Path(folder) / "made-up.csv"
            write_outcomes(path)
        outcomes = read_outcomes(path)
    seeds = range(_QUICK_SEEDS if arguments.quick else arguments.seeds)
    started = time.perf_counter()
    results: Results = {}
    for file in sorted(_SCENARIOS.glob("*.json")):
        if arguments.scenarios and file.stem not in arguments.scenarios:
            continue
        scenario = read_scenario(file, outcomes)
        if file.stem == _LONG and arguments.quick:
            scenario = replace(scenario, phases=(replace(scenario.phases[0], events=_QUICK_EVENTS),))
        for rule in [_JUDGED] if file.stem == _LONG else arguments.rules:
            progress(f"{file.stem}: {rule}")
            results.setdefault(file.stem, {})[rule] = _run(scenario, outcomes, rule, seeds, arguments.jobs)
    typed = _TYPED.exists() and _JUDGED in arguments.rules and _TYPES in (arguments.scenarios or [_TYPES])
    types = _task_types(seeds, arguments.jobs) if typed else {}
    targets = [_judged(target, results) for target in _targets() if _JUDGED in results.get(target.scenario, {})]
    if not arguments.scenarios and _JUDGED in arguments.rules:
        targets += [_judged(target, results) for target in _targets_of_all()]
    if types:
        gain = Target(_TYPES, "reward of task types, points", lambda _: _gain(types), _TYPED_POINTS, at_most=False)
        targets.append(_judged(gain, results))
    print(
        json.dumps(
            {
                "benchmark": "learning",
                "outcomes": path.name,
                "models": len(outcomes.models),
                "seeds": len(seeds),
                "targets": targets,
                "met": f"{sum(target['met'] for target in targets)} of {len(targets)}",
                "scenarios": {name: {rule: _row(one) for rule, one in by.items()} for name, by in results.items()},
                "task_types": {name: _row(one) for name, one in types.items()},
                "seconds": round(time.perf_counter() - started, 1),
                "machine": {"cores": os.cpu_count(), "python": sys.version.split()[0]},
            }
        )
    )


def _arguments() -> argparse.Namespace:
    rules = (*BUILT_IN_RULES, *BASELINES)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outcomes", type=Path, help="another table of outcomes")
    parser.add_argument(
        "--quick", action="store_true", help=f"{_QUICK_SEEDS} seeds, {_QUICK_EVENTS:,} unchanging tasks"
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--rules", nargs="+", default=rules, choices=rules, metavar="RULE")
    parser.add_argument("--scenarios", nargs="+", metavar="NAME", help=f"only these of examples/scenarios, or {_TYPES}")
    return parser.parse_args()


def _run(scenario: Scenario, outcomes: OutcomeFile, rule: str, seeds: range, jobs: int) -> dict[str, Any]:
    return compare(make_ground_truth(scenario, outcomes.table(scenario.answering)), rule, seeds, jobs=jobs)


def _task_types(seeds: range, jobs: int) -> dict[str, dict[str, Any]]:
    """Run the judged rule on a table with task types, by them and without them."""
    outcomes = read_outcomes(_TYPED)
    results = {}
    for name, most in (("with", MOST_TASK_TYPES), ("without", 0)):
        progress(f"{_TYPES}: {_JUDGED} {name}")
        written = {"phases": [{"events": _TYPED_EVENTS}], "task_types": most, "weights": {"latency": 0}}
        results[name] = _run(scenario_from(written, outcomes), outcomes, _JUDGED, seeds, jobs)
    return results


def _gain(types: dict[str, dict[str, Any]]) -> float:
    return 100 * (types["with"]["reward"]["mean"] - types["without"]["reward"]["mean"])


def _row(result: dict[str, Any]) -> dict[str, Any]:
    """Return the means of a rule in a scenario, with the 95% interval of its regret."""
    regret = result["regret_percent"]
    return {
        **{name: _mean(result, name) for name in _SHOWN},
        "regret_interval": [regret["low"], regret["high"]],
        "phases": [{name: _mean(phase, name) for name in _SHOWN_OF_PHASES} for phase in result["phases"]],
    }


def _targets() -> list[Target]:
    stationary, drift, unchanging = "stationary", "drift", _LONG
    targets = [
        Target(stationary, "reward of the oracle's, from the first task on", _share_of_oracle(stationary), 0.99, False),
        Target(stationary, "reward of the oracle's, after 20,000 tasks", _share_of_oracle(stationary, 1), 0.99, False),
        Target(stationary, "saturated share", _of(stationary, "saturated_share"), 0.0),
        Target(stationary, "pairs ordered right", _of(stationary, "pairs_ordered_right"), 0.93, False),
        Target("newcomer-better", "tasks until on top", _of_phase("newcomer-better", 1, "events_to_recover"), 600),
        Target("newcomer-worse", "share of the traffic", _newcomers_traffic, 0.01),
        Target("slow", "regret, % in that phase", _of_phase("slow", 1, "regret_percent"), 2.5),
        Target("slow-heavy", "regret, % in that phase", _of_phase("slow-heavy", 1, "regret_percent"), 2.5),
        Target(unchanging, "false alarms", _of(unchanging, "false_alarms"), 1.0),
    ]
    for name in (drift, "drift-many"):
        targets += [
            Target(name, "reward of the oracle's", _share_of_oracle(name), 0.97, False),
            Target(name, "tasks until the fall is seen", _of_phase(name, 1, "events_to_detect"), 600),
            Target(name, "regret of Thompson's with half-life", _of_half_life(name), 0.6),
        ]
    # With many models, several are so close to the best that this number of tasks cannot distinguish them.
    targets.append(Target(drift, "tasks until recovered", _of_phase(drift, 2, "events_to_recover"), 1600))
    for kind in _POISONED:
        name = f"poison-{kind}"
        ticks = _DRIP_TICKS if kind == "drip" else _POISON_TICKS
        points = _POISON_POINTS_OF_THREE if kind == "three" else _POISON_POINTS
        targets += [
            Target(name, "regret, points above that of honest instances", _points_above_honest(name), points),
            Target(name, "ticks until found", _of(name, "ticks_to_quarantine"), ticks),
            Target(name, "honest instances out", _of(name, "honest_exclusions"), 0.0),
        ]
    targets += [Target(name, "regret, %", _of(name, "regret_percent"), bound) for name, bound in _CHANGES.items()]
    return targets


def _targets_of_all() -> list[Target]:
    """Return the targets over all scenarios; they make sense only if all were run."""

    def regrets(results: Results) -> list[float]:
        return [_mean(by[_JUDGED], "regret_percent") for name, by in results.items() if name not in _CHANGES]

    def mean(results: Results) -> float:
        return sum(regrets(results)) / len(regrets(results))

    return [
        Target(f"all but {', '.join(_CHANGES)}", "mean regret, %", mean, _MEAN_REGRET),
        Target(
            f"all but {', '.join(_CHANGES)}", "largest regret, %", lambda results: max(regrets(results)), _WORST_REGRET
        ),
    ]


def _of(scenario: str, measure: str) -> Callable[[Results], float | None]:
    return lambda results: _mean(results[scenario][_JUDGED], measure)


def _of_phase(scenario: str, phase: int, measure: str) -> Callable[[Results], float | None]:
    return lambda results: _mean(results[scenario][_JUDGED]["phases"][phase], measure)


def _share_of_oracle(scenario: str, phase: int | None = None) -> Callable[[Results], float | None]:
    """Return the reward over the oracle's: of the whole run, or of the phases from `phase` on, which are of equal length."""

    def value(results: Results) -> float:
        result = results[scenario][_JUDGED]
        parts = [result] if phase is None else result["phases"][phase:]
        return sum(part["reward"]["mean"] for part in parts) / sum(part["oracle_reward"]["mean"] for part in parts)

    return value


def _of_half_life(scenario: str) -> Callable[[Results], float | None]:
    def value(results: Results) -> float | None:
        other = results[scenario].get("thompson-half-life")
        return _mean(results[scenario][_JUDGED], "regret_percent") / _mean(other, "regret_percent") if other else None

    return value


def _points_above_honest(scenario: str) -> Callable[[Results], float | None]:
    def value(results: Results) -> float | None:
        honest = results.get("honest", {}).get(_JUDGED)
        return _mean(results[scenario][_JUDGED], "regret_percent") - _mean(honest, "regret_percent") if honest else None

    return value


def _newcomers_traffic(results: Results) -> float | None:
    before, now = (phase["traffic"] for phase in results["newcomer-worse"][_JUDGED]["phases"])
    return sum(share["mean"] for model, share in now.items() if model not in before)


def _mean(result: dict[str, Any], measure: str) -> Any:
    return result[measure]["mean"]


def _judged(target: Target, results: Results) -> dict[str, Any]:
    value = target.value(results)
    return {
        "scenario": target.scenario,
        "what": target.what,
        "value": None if value is None else round(value, 4),
        "bound": f"{'<=' if target.at_most else '>='} {target.bound:g}",
        "met": value is not None and (value <= target.bound if target.at_most else value >= target.bound),
    }


if __name__ == "__main__":
    main()
