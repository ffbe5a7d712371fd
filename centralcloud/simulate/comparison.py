"""Many runs of one rule, one for each seed, in parallel processes; and their means."""

import time
from collections.abc import Sequence
from typing import Any, Protocol

from centralcloud.contracts.model_choice.selection import SelectionMode
from centralcloud.simulate.candidates import check_rule, make_candidate
from centralcloud.simulate.engine import simulate
from centralcloud.simulate.evaluation import RunEvaluation, evaluate_run
from centralcloud.simulate.ground_truth import GroundTruth
from centralcloud.simulate.intervals import estimate, limits_of
from centralcloud.simulate.processes import run_side_by_side
from centralcloud.simulate.scenario import Scenario


class World(Protocol):
    """A scenario, and its truth for each seed. A ground truth is one: it is the same for every seed."""

    @property
    def scenario(self) -> Scenario:
        """The course of events."""

    def for_seed(self, seed: int) -> GroundTruth:
        """Return the truth of the run with this seed."""


def compare(
    world: World,
    rule: str,
    seeds: Sequence[int],
    *,
    selection: SelectionMode = "auto",
    jobs: int | None = None,
) -> dict[str, Any]:
    """Run the scenario once with each seed, in `jobs` processes (default: one for each core).

    Returns:
        A JSON object: every metric as {"mean", "low", "high", "runs"} (95% interval of the mean over seeds; null with fewer
        than two runs that have a value), and `phases` with the same for each phase.

    Raises:
        SettingsError: the rule is not installed.
    """
    check_rule(rule)
    started = time.perf_counter()
    evaluations = run_side_by_side(_evaluate, (world, rule, selection), seeds, jobs)
    return {
        "rule": rule,
        "selection": selection,
        "seeds": list(seeds),
        "events": world.scenario.events,
        **_means([one.whole for one in evaluations], world.scenario),
        "phases": [_phase(world.scenario, evaluations, number) for number in range(len(world.scenario.phases))],
        "elapsed_seconds": round(time.perf_counter() - started, 3),
    }


def _phase(scenario: Scenario, evaluations: Sequence[RunEvaluation], number: int) -> dict[str, Any]:
    traffic = [one.traffic[number] for one in evaluations]
    return {
        "events": scenario.phases[number].events,
        **_means([one.phases[number] for one in evaluations], scenario),
        "traffic": {
            model: estimate([one.get(model) for one in traffic], (0.0, 1.0))
            for model in dict.fromkeys(model for one in traffic for model in one)
        },
    }


def _means(runs: Sequence[dict[str, Any]], scenario: Scenario) -> dict[str, Any]:
    return {name: estimate([run[name] for run in runs], limits_of(name, scenario.weights)) for name in runs[0]}


def _evaluate(work: tuple[World, str, SelectionMode], seed: int) -> RunEvaluation:
    world, rule, selection = work
    ground_truth = world.for_seed(seed)
    return evaluate_run(
        simulate(ground_truth, make_candidate(rule, ground_truth), seed, selection=selection), ground_truth
    )
