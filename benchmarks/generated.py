"""Measure how well rules route in generated worlds, on which no rule was tuned. Prints one JSON object.

- many: 45 models, of which nothing is known; their success rate per complexity is Beta(4, 2) distributed; 10,000 items.
- types, no-types: 6 models and 8 task types; the logit of success is normal, and a task type moves it with a standard
  deviation of 0.8, or not at all.

Each seed draws a new world. The yardsticks run in the same worlds with the same tasks: Thompson sampling and the best fixed
model, and for task types the same rule without them. --former names another checkout of the project, whose rule is then
measured in the same worlds, in processes of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from _shared import progress

from centralcloud.simulate.comparison import compare
from centralcloud.simulate.generated import GeneratedWorld, Population
from centralcloud.simulate.scenario import Phase, Scenario, Weights

_JUDGED: Final = "adaptive"
_YARDSTICKS: Final = ("thompson", "best-fixed")
_QUICK_SEEDS: Final = 3
#: The regret in the first 20,000 tasks, in percent, of the rule before it sharpened draws and shrunk to other pairs: of the
#: first ten seeds, with the draws of this simulator.
_FORMER_REGRET: Final = 2.82
_LESS: Final = 0.75
_GAIN_POINTS: Final = 1.5
_LOSS_POINTS: Final = 0.2

_POPULATIONS: Final = {
    "many": Population(models=45, items=10_000),
    "types": Population(models=6, items=10_000, task_types=8, type_effect=0.8),
    "no-types": Population(models=6, items=10_000, task_types=8, type_effect=0.0),
}


def main() -> None:
    """Run everything and print the result."""
    arguments = _arguments()
    seeds = range(_QUICK_SEEDS if arguments.quick else arguments.seeds)
    started = time.perf_counter()
    worlds = {
        name: _world(name, arguments.events)
        for name in _POPULATIONS
        if not arguments.worlds or name in arguments.worlds
    }
    if arguments.only is not None:  # the process of --former
        print(json.dumps({name: _run(world, arguments.only, seeds, arguments.jobs) for name, world in worlds.items()}))
        return
    results: dict[str, dict[str, Any]] = {}
    for name, world in worlds.items():
        for rule in (_JUDGED, *_YARDSTICKS):
            progress(f"{name}: {rule}")
            results.setdefault(name, {})[rule] = _run(world, rule, seeds, arguments.jobs)
        if world.population.task_types:
            progress(f"{name}: {_JUDGED} without task types")
            results[name]["without task types"] = _run(_without_types(world), _JUDGED, seeds, arguments.jobs)
    if arguments.former:
        progress(f"former: {_JUDGED}")
        for name, result in _former(arguments).items():
            results[name]["former"] = result
    targets = _targets(results)
    print(
        json.dumps(
            {
                "benchmark": "generated",
                "seeds": len(seeds),
                "events": arguments.events,
                "targets": targets,
                "met": f"{sum(target['met'] for target in targets)} of {len(targets)}",
                "worlds": {name: {rule: _row(one) for rule, one in by.items()} for name, by in results.items()},
                "seconds": round(time.perf_counter() - started, 1),
                "machine": {"cores": os.cpu_count(), "python": sys.version.split()[0]},
            }
        )
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK_SEEDS} seeds")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--worlds", nargs="+", choices=_POPULATIONS, metavar="NAME", help="only these")
    parser.add_argument("--former", type=Path, help="another checkout, for the rule as it was there")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    return parser.parse_args()


def _world(name: str, events: int) -> GeneratedWorld:
    population = _POPULATIONS[name]
    phase = Phase(events=events, serve={}, absent=frozenset(), slow={}, price={}, outage=frozenset())
    scenario = Scenario(
        models=population.names, instances=10, ticks=(200,), phases=(phase,), weights=Weights(latency=0, cost=0)
    )
    return GeneratedWorld(scenario, population)


def _without_types(world: GeneratedWorld) -> GeneratedWorld:
    return replace(world, scenario=replace(world.scenario, task_types=0))


def _run(world: GeneratedWorld, rule: str, seeds: range, jobs: int) -> dict[str, Any]:
    return compare(world, rule, seeds, jobs=jobs)


def _former(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Run the rule of another checkout with the simulator of this one."""
    rules = (arguments.former / "centralcloud/learning").resolve()
    if not rules.is_dir():
        sys.exit(f"--former: found no centralcloud/learning in {arguments.former}, expected a checkout of the project")
    names = ["--worlds", *arguments.worlds] if arguments.worlds else []
    seeds = str(_QUICK_SEEDS if arguments.quick else arguments.seeds)
    command = [sys.executable, "-c", _WITH_FORMER, str(rules), __file__, "--only", _JUDGED, "--seeds", seeds]
    command += ["--events", str(arguments.events), "--jobs", "1", *names]
    result: dict[str, dict[str, Any]] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return result


#: The package `centralcloud.learning` comes from another folder; the simulator and the router stay.
_WITH_FORMER: Final = """
import runpy, sys
import centralcloud
import importlib.util
folder, script = sys.argv[1:3]
spec = importlib.util.spec_from_file_location(
    "centralcloud.learning", folder + "/__init__.py", submodule_search_locations=[folder]
)
module = importlib.util.module_from_spec(spec)
sys.modules["centralcloud.learning"] = centralcloud.learning = module
spec.loader.exec_module(module)
sys.argv = sys.argv[2:]
sys.path.insert(0, script.rpartition("/")[0])
runpy.run_path(script, run_name="__main__")
"""


def _row(result: dict[str, Any]) -> dict[str, Any]:
    """Return the means of a rule in a world, with the 95% interval of its regret."""
    regret = result["regret_percent"]
    names = (
        "reward",
        "oracle_reward",
        "typed_oracle_reward",
        "regret_percent",
        "probe_share",
        "microseconds_per_event",
    )
    return {
        **{name: result[name]["mean"] for name in names},
        "regret_interval": [regret["low"], regret["high"]],
    }


def _targets(results: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    targets = []
    if "many" in results:
        former = results["many"].get("former")
        bound = _LESS * (_mean(former, "regret_percent") if former else _FORMER_REGRET)
        value = _mean(results["many"][_JUDGED], "regret_percent")
        targets.append(_target("many", "regret, %: 25% less than before", value, bound, at_most=True))
    for name, bound in (("types", _GAIN_POINTS), ("no-types", -_LOSS_POINTS)):
        if name in results:
            with_types, without = (_mean(results[name][each], "reward") for each in (_JUDGED, "without task types"))
            value = 100 * (with_types - without)
            targets.append(_target(name, "reward of task types, points", value, bound, at_most=False))
    return targets


def _target(world: str, what: str, value: float, bound: float, *, at_most: bool) -> dict[str, Any]:
    return {
        "world": world,
        "what": what,
        "value": round(value, 3),
        "bound": f"{'<=' if at_most else '>='} {bound:.3g}",
        "met": value <= bound if at_most else value >= bound,
    }


def _mean(result: dict[str, Any], measure: str) -> float:
    mean: float = result[measure]["mean"]
    return mean


if __name__ == "__main__":
    main()
