"""The results of many runs of an experiment together, as a JSON object."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from centralcloud.contracts.canary import CanaryPlan
from centralcloud.experiments.interval import UNKNOWN
from centralcloud.runtime.arrays import np
from centralcloud.simulate.experiments.canaries import CanaryResult, simulate_canaries
from centralcloud.simulate.experiments.comparisons import ComparisonResult, ComparisonRun, simulate_comparisons
from centralcloud.simulate.experiments.scenario import Experiment
from centralcloud.simulate.processes import run_side_by_side

#: Canaries that are simulated side by side; of a comparison, the columns of its statistics.
_SIDE_BY_SIDE: Final = 25
_FEWEST_SIDE_BY_SIDE: Final = 5


class _Block(NamedTuple):
    """Runs that are simulated side by side: of one treatment of a canary, or of the whole A/B test (None)."""

    treatment: int | None
    seeds: tuple[int, ...]


def simulate_experiment(experiment: Experiment, seeds: Sequence[int], *, jobs: int | None = None) -> dict[str, Any]:
    """Simulate an experiment once for each seed; of a canary each treatment, as a canary of its own.

    Args:
        jobs: processes; default: one for each core. The result does not depend on it.

    Returns:
        A JSON object; docs/reference/commands.md has its form.
    """
    started = time.perf_counter()
    is_canary = isinstance(experiment.plan, CanaryPlan)
    columns = 1 if is_canary else len(experiment.names) * len(experiment.metrics)
    size = max(_SIDE_BY_SIDE // columns, _FEWEST_SIDE_BY_SIDE)
    treatments: Sequence[int | None] = range(len(experiment.names)) if is_canary else [None]
    blocks = [
        _Block(treatment, tuple(seeds[first : first + size]))
        for treatment in treatments
        for first in range(0, len(seeds), size)
    ]
    results = run_side_by_side(_simulate, experiment, blocks, jobs)
    found: dict[str, Any] = {"kind": "canary" if is_canary else "ab", "seeds": list(seeds)}
    if is_canary:
        found["treatments"] = [
            {
                "name": name,
                **_of_canaries(
                    [
                        run
                        for block, runs in zip(blocks, results, strict=True)
                        for run in runs
                        if block.treatment == number
                    ]
                ),
            }
            for number, name in enumerate(experiment.names)
        ]
    else:
        found |= _of_comparisons(experiment, [run for runs in results for run in runs])
    return {**found, "elapsed_seconds": round(time.perf_counter() - started, 3)}


def _simulate(experiment: Experiment, block: _Block) -> list[Any]:
    if block.treatment is None:
        return simulate_comparisons(experiment, block.seeds)
    return simulate_canaries(experiment.canary_of(block.treatment), block.seeds)


def _of_canaries(runs: Sequence[CanaryResult]) -> dict[str, Any]:
    ended = Counter(run.status for run in runs)
    stopped = [run.served_at_stop for run in runs if run.served_at_stop is not None]
    return {
        "promoted": share(ended["promoted"], len(runs)),
        "rolled_back": share(ended["rolled_back"], len(runs)),
        "undecided": share(ended["undecided"], len(runs)),
        "open": share(ended["ramping"] + ended["paused"], len(runs)),
        "verdict_seconds": _quantiles(
            [math.inf if run.status in ("ramping", "paused") else run.seconds for run in runs]
        ),
        "requests": _quantiles([run.requests for run in runs]),
        "served": _quantiles([run.served for run in runs]),
        "stopped": share(len(stopped), len(runs)),
        "served_at_stop": _quantiles(stopped),
        "extra_failures": _mean([run.lost for run in runs]),
        "retries": _mean([run.retries for run in runs]),
        "bad_minutes": _mean([run.bad_minutes for run in runs]),
        "reasons": dict(Counter(run.reason for run in runs if run.status == "rolled_back")),
    }


def _of_comparisons(experiment: Experiment, runs: Sequence[ComparisonRun]) -> dict[str, Any]:
    treatments = []
    for number, name in enumerate(experiment.names):
        metrics = {}
        for place, metric in enumerate(experiment.metrics):
            found = [run.metrics[number][place] for run in runs]
            metrics[metric] = {
                "higher": share(sum(each.higher is True for each in found), len(runs)),
                "lower": share(sum(each.higher is False for each in found), len(runs)),
                "declared_seconds": _quantiles([math.inf if each.seconds is None else each.seconds for each in found]),
                "declared_outcomes": _quantiles(
                    [math.inf if each.outcomes is None else each.outcomes for each in found]
                ),
                "half_width": _quantiles([_half_width(each) for each in found]),
            }
        treatments.append({"name": name, "metrics": metrics})
    return {
        "treatments": treatments,
        "seconds": _quantiles([run.seconds for run in runs]),
        "requests": _quantiles([run.requests for run in runs]),
    }


def _half_width(found: ComparisonResult) -> float:
    """Return half the width of an interval; infinite: one of its ends is not known yet."""
    known = found.low > -UNKNOWN and found.high < UNKNOWN
    return (found.high - found.low) / 2 if known else math.inf


def share(count: int, of: int) -> dict[str, float]:
    """Return a share with its standard error.

    That of a share of all runs or none is not 0: it is taken where one run more of each kind had been seen.
    """
    near = (count + 1) / (of + 2)
    return {"share": count / of, "standard_error": _rounded(math.sqrt(near * (1 - near) / of)) or 0.0}


def _mean(values: Sequence[float]) -> dict[str, float | None]:
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None
    return {"mean": _rounded(float(np.mean(values))), "standard_error": _rounded(error)}


def _quantiles(values: Sequence[float]) -> dict[str, float | None]:
    """Return the median and the 90% quantile; null where a run has no value yet (infinite)."""
    return {"median": _quantile(values, 0.5), "p90": _quantile(values, 0.9)}


def _quantile(values: Sequence[float], at: float) -> float | None:
    if not values:
        return None
    found = float(np.quantile(np.array(values, dtype=np.float64), at, method="inverted_cdf"))
    return _rounded(found) if math.isfinite(found) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
