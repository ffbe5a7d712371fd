"""Many runs of one rule, one for each seed, in parallel processes; and their means."""

import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, Final

from centralcloud.simulate.candidates import check_rule, make_candidate
from centralcloud.simulate.engine import simulate
from centralcloud.simulate.evaluation import RunEvaluation, evaluate_run
from centralcloud.simulate.ground_truth import GroundTruth
from instance_agent.routing.selection import SelectionMode

#: 97.5% quantiles of Student's t with 1 to 30 degrees of freedom; beyond, the next terms of its expansion are below 0.1%.
_T: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_NORMAL: Final = 1.96


def compare(
    ground_truth: GroundTruth,
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
    jobs = min(jobs or os.cpu_count() or 1, len(seeds))
    if jobs == 1:
        evaluations = [_evaluate(ground_truth, rule, seed, selection) for seed in seeds]
    else:
        evaluations = _side_by_side(ground_truth, rule, seeds, selection, jobs)
    return {
        "rule": rule,
        "selection": selection,
        "seeds": list(seeds),
        "events": ground_truth.scenario.events,
        **_means([one.whole for one in evaluations]),
        "phases": [_phase(ground_truth, evaluations, number) for number in range(len(ground_truth.phases))],
        "elapsed_seconds": round(time.perf_counter() - started, 3),
    }


def _side_by_side(
    ground_truth: GroundTruth, rule: str, seeds: Sequence[int], selection: SelectionMode, jobs: int
) -> list[RunEvaluation]:
    context = multiprocessing.get_context("spawn")
    # Nothing is ever sent: the workers exit when this end is closed, because this process was interrupted or killed.
    theirs, ours = context.Pipe(duplex=False)
    with theirs, ours, ProcessPoolExecutor(jobs, context, _prepare, (theirs, ground_truth, rule, selection)) as pool:
        try:
            return list(pool.map(_evaluate_here, seeds))
        except BaseException:
            ours.close()
            raise


def _phase(ground_truth: GroundTruth, evaluations: Sequence[RunEvaluation], number: int) -> dict[str, Any]:
    traffic = [one.traffic[number] for one in evaluations]
    return {
        "events": ground_truth.scenario.phases[number].events,
        **_means([one.phases[number] for one in evaluations]),
        "traffic": _means(traffic),
    }


def _means(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: estimate(run[name] for run in runs) for name in runs[0]}


def estimate(values: Iterable[float | None]) -> dict[str, Any]:
    """Return mean and 95% interval (Student's t) of the values that are not None, and their number."""
    known = [value for value in values if value is not None]
    mean = math.fsum(known) / len(known) if known else None
    half = None
    if mean is not None and len(known) > 1:
        variance = math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1)
        quantile = _T[len(known) - 2] if len(known) - 2 < len(_T) else _NORMAL
        half = quantile * math.sqrt(variance / len(known))
    return {
        "mean": _rounded(mean),
        "low": None if mean is None or half is None else _rounded(mean - half),
        "high": None if mean is None or half is None else _rounded(mean + half),
        "runs": len(known),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


_work: tuple[GroundTruth, str, SelectionMode]


def _prepare(parent: Connection, ground_truth: GroundTruth, rule: str, selection: SelectionMode) -> None:
    """Keep the work of this process, which is sent once and not with every seed."""
    global _work
    _work = ground_truth, rule, selection
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, too, which then closes the pipe
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Connection) -> None:
    parent.poll(None)
    os._exit(1)


def _evaluate_here(seed: int) -> RunEvaluation:
    ground_truth, rule, selection = _work
    return _evaluate(ground_truth, rule, seed, selection)


def _evaluate(ground_truth: GroundTruth, rule: str, seed: int, selection: SelectionMode) -> RunEvaluation:
    return evaluate_run(
        simulate(ground_truth, make_candidate(rule, ground_truth), seed, selection=selection), ground_truth
    )
