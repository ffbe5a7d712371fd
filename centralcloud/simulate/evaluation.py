"""The metrics of a run.

Every metric is a number, or None if the run has no value for it; `comparison.py` computes means over runs.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from centralcloud.simulate.engine import PhaseTotals, Run, Tick
from centralcloud.simulate.ground_truth import GroundTruth, PhaseTruth

Metrics = dict[str, float | None]

#: Metrics of the end of a run are means over this many ticks: a single one is subject to chance.
_LAST_TICKS: Final = 10
#: Recovered: a right model is on top in 80% of the next 10 ticks (docs/reference/specification.md).
_RECOVERY_TICKS: Final = 10
_RECOVERY_SHARE: Final = 0.8
_LOWEST, _HIGHEST = 0.0, 5.0


class RunEvaluation(NamedTuple):
    """The metrics of one run, as a whole and phase by phase; `traffic` is the share of each model in each phase."""

    whole: Metrics
    phases: list[Metrics]
    traffic: list[dict[str, float]]


def evaluate_run(run: Run, ground_truth: GroundTruth) -> RunEvaluation:
    """Compute all metrics of a run."""
    phases = [
        {**_yields([totals]), **_reaction(run, ground_truth, number), "probe_share": totals.probes / totals.events}
        for number, totals in enumerate(run.phases)
    ]
    changed = phases[1:]
    whole: Metrics = {
        **_yields(run.phases),
        **_order(run, ground_truth),
        "probe_share": _total(run.phases, "probes") / ground_truth.scenario.events,
        "events_to_detect": _mean(phase["events_to_detect"] for phase in changed),
        "events_to_recover": _mean(phase["events_to_recover"] for phase in changed),
        "false_alarms": float(_false_alarms(run, ground_truth)),
        **_quarantine(run, ground_truth),
        **_estimates(run.phases, ground_truth),
        "wall_seconds": run.seconds,
        "rule_milliseconds_per_tick": 1000 * run.rule_seconds / len(run.ticks) if run.ticks else None,
        "microseconds_per_event": 1e6 * run.seconds / ground_truth.scenario.events,
    }
    traffic = [
        {
            model: float(count / totals.events)
            for model, count, present in zip(ground_truth.models, totals.traffic, truth.present, strict=True)
            if present.any()
        }
        for totals, truth in zip(run.phases, ground_truth.phases, strict=True)
    ]
    return RunEvaluation(whole, phases, traffic)


def _yields(phases: Sequence[PhaseTotals]) -> Metrics:
    """Compute reward and regret, with and without penalties, mean latency and cost, and the share of the busiest model."""
    events, timed, priced = (_total(phases, name) for name in ("events", "timed", "priced"))
    reward, oracle = _total(phases, "reward") / events, _total(phases, "oracle_reward") / events
    success, oracle_success = _total(phases, "success") / events, _total(phases, "oracle_success") / events
    return {
        "reward": reward,
        "oracle_reward": oracle,
        "regret_percent": 100 * (1 - reward / oracle) if oracle > 0 else None,
        "success_rate": success,
        "oracle_success_rate": oracle_success,
        "success_regret_percent": 100 * (1 - success / oracle_success) if oracle_success > 0 else None,
        "mean_latency_ms": _total(phases, "latency_ms") / timed if timed else None,
        "mean_cost_usd": _total(phases, "cost_usd") / priced if priced else None,
        "busiest_share": float(np.sum([each.traffic for each in phases], axis=0).max()) / events,
    }


def _order(run: Run, ground_truth: GroundTruth) -> Metrics:
    """Compare the order of the scores at the end with the truth of the last phase; only models in the catalogs."""
    truth = ground_truth.phases[-1]
    scores = np.array([tick.scores for tick in run.ticks[-_LAST_TICKS:]])
    if not len(scores):
        return {"pairs_ordered_right": None, "saturated_share": None, "tied_share": None}
    both = truth.present[:, None, :] & truth.present[None, :, :]
    difference = scores[:, :, None, :] - scores[:, None, :, :]
    better = (truth.low[:, None, :] > truth.high[None, :, :]) & both
    models = np.arange(scores.shape[1])
    tied = difference[:, both & (models[:, None] < models)[:, :, None]] == 0
    offered = scores[:, truth.present]
    return {
        "pairs_ordered_right": float((difference[:, better] > 0).mean()) if better.any() else None,
        "saturated_share": float(((offered <= _LOWEST) | (offered >= _HIGHEST)).mean()),
        "tied_share": float(tied.mean()) if tied.size else None,
    }


def _estimates(phases: Sequence[PhaseTotals], ground_truth: GroundTruth) -> Metrics:
    """Return the reward that task types allow, and between which values the reward lies whatever the holes hide."""
    events = _total(phases, "events")
    has_holes = any(truth.outcomes.estimated.any() for truth in ground_truth.phases)
    typed = _total(phases, "typed_oracle_reward") / events if ground_truth.task_types else None
    return {
        "typed_oracle_reward": typed,
        "estimated_share": _total(phases, "estimated") / events if has_holes else None,
        "reward_at_least": _total(phases, "least") / events if has_holes else None,
        "reward_at_most": _total(phases, "most") / events if has_holes else None,
    }


def _reaction(run: Run, ground_truth: GroundTruth, phase: int) -> Metrics:
    """Measure how soon the run reacted to the change at the beginning of the phase; in the first phase, to no knowledge."""
    truth = ground_truth.phases[phase]
    ticks = [tick for tick in run.ticks if tick.phase == phase]
    right = np.array([_right_on_top(tick, truth) for tick in ticks])
    concerned = np.ones(len(ground_truth.complexities), dtype=bool)
    affected: set[tuple[int, int]] = set()
    if phase:
        before = ground_truth.phases[phase - 1]
        affected = _affected(before, truth)
        concerned = ~truth.right[before.best, np.arange(len(ground_truth.complexities))]
    recovered = _first(
        ticks, lambda i: bool(concerned.any() and right[i : i + _RECOVERY_TICKS, concerned].mean() >= _RECOVERY_SHARE)
    )
    alarmed = _first(ticks, lambda i: not affected.isdisjoint(ticks[i].alarms))
    on_top = _first(ticks, lambda i: bool(concerned.any() and right[i, concerned].all()))
    return {
        "events_to_detect": None if not phase else on_top if alarmed is None else alarmed,
        "events_to_recover": recovered,
    }


def _right_on_top(tick: Tick, truth: PhaseTruth) -> NDArray[np.bool_]:
    """Return, for each complexity, whether every present model of the highest score is a right one."""
    scores = np.where(truth.present, tick.scores, -np.inf)
    wrong = (scores == scores.max(axis=0)) & truth.present & ~truth.right
    return ~wrong.any(axis=0)  # type: ignore[no-any-return]


def _affected(before: PhaseTruth, truth: PhaseTruth) -> set[tuple[int, int]]:
    """Return the pairs, in the catalogs before and now, whose success rate has changed."""
    changed = (truth.answers != before.answers) & (truth.success != before.success) & truth.present & before.present
    return {(int(model), int(complexity)) for model, complexity in zip(*np.nonzero(changed), strict=True)}


def _false_alarms(run: Run, ground_truth: GroundTruth) -> int:
    """Count the alarms on pairs that changed neither at the beginning of this phase nor of the one before."""
    changes: list[set[tuple[int, int]]] = [set()]
    changes += [
        _affected(before, now) for before, now in zip(ground_truth.phases, ground_truth.phases[1:], strict=False)
    ]
    return sum(
        pair not in changes[tick.phase] and pair not in changes[max(tick.phase - 1, 0)]
        for tick in run.ticks
        for pair in tick.alarms
    )


def _quarantine(run: Run, ground_truth: GroundTruth) -> Metrics:
    adversaries = ground_truth.scenario.adversaries
    first_lie = {each.instance: each.from_event for each in adversaries}
    waited = []
    for each in adversaries:
        lying = [tick for tick in run.ticks if tick.event > each.from_event]
        waited += [i for i, tick in enumerate(lying, 1) if each.instance in tick.excluded][:1]
    honest = {
        instance
        for tick in run.ticks
        for instance in tick.excluded
        if tick.event <= first_lie.get(instance, ground_truth.scenario.events)
    }
    return {
        "ticks_to_quarantine": float(max(waited)) if adversaries and len(waited) == len(adversaries) else None,
        "honest_exclusions": float(len(honest)),
    }


def _first(ticks: Sequence[Tick], reached: Callable[[int], bool]) -> float | None:
    """Return the number of tasks from the start of the phase to the first tick (by position) for which `reached` is true."""
    return next((float(tick.event_in_phase) for i, tick in enumerate(ticks) if reached(i)), None)


def _total(phases: Sequence[PhaseTotals], name: str) -> float:
    return float(sum(getattr(phase, name) for phase in phases))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
