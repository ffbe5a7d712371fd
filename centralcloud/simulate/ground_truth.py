"""The truth in each phase of a scenario: the real success of every model, and the best one."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from centralcloud.learning.arrays import Floats
from centralcloud.learning.evidence import Pair
from centralcloud.learning.rule import wilson_interval
from centralcloud.simulate.outcomes import Outcomes, OutcomeTable
from centralcloud.simulate.scenario import Phase, Scenario, Weights

#: A model whose utility is this close to the best one's is also right: no rule can tell them apart within the few thousand
#: tasks in which it has to find the best (a difference of 0.01 takes about ten thousand outcomes of both).
INDIFFERENCE: Final = 0.01

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TrueOutcomes:
    """The outcome of each model for each task of one complexity in one phase; arrays of shape (models, items).

    Attributes:
        reward: success, 0 to 1.
        latency_ms, cost_usd: NaN where the table has no value.
        utility: reward less the penalties for latency and cost.
    """

    reward: Floats
    latency_ms: Floats
    cost_usd: Floats
    utility: Floats


@dataclass(frozen=True, slots=True)
class PhaseTruth:
    """The truth in one phase; columns are the complexities of the table.

    Attributes:
        by_complexity: outcomes.
        present: which models are in the catalogs; shape (models,).
        answers: for each model, the source of its outcomes: phases with equal sources differ in latency at most.
        success, utility: means over all tasks; shape (models, complexities).
        low, high: 95% Wilson interval of the success in the table, less the mean penalty for latency and cost.
        best: the present model of greatest utility; shape (complexities,).
        most_successful: the present one of greatest success.
        least_successful: the present one of least success.
        right: which present models are within `INDIFFERENCE` of the best; shape (models, complexities).
    """

    by_complexity: tuple[TrueOutcomes, ...]
    present: NDArray[np.bool_]
    answers: tuple[tuple[str, bool], ...]
    slow: tuple[float, ...]
    success: Floats
    utility: Floats
    low: Floats
    high: Floats
    best: Integers
    most_successful: Integers
    least_successful: Integers
    right: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The truth of a scenario.

    Attributes:
        models, complexities: rows and columns.
        items: number of tasks of each complexity.
        phases: one for each phase.
    """

    scenario: Scenario
    models: tuple[str, ...]
    complexities: tuple[str, ...]
    items: Integers
    phases: tuple[PhaseTruth, ...]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every pair; the pair of model m and complexity c is at m * len(complexities) + c."""
        return tuple((model, complexity) for model in self.models for complexity in self.complexities)


def make_ground_truth(scenario: Scenario, table: OutcomeTable) -> GroundTruth:
    """Compute the truth of `scenario`; `table` has at least the outcomes of the models that answer in it."""
    known: dict[tuple[object, ...], PhaseTruth] = {}
    phases = []
    for phase in scenario.phases:
        key = (tuple(sorted(phase.serve.items())), phase.absent, tuple(sorted(phase.slow.items())), phase.outage)
        if key not in known:
            known[key] = _phase_truth(scenario, phase, table)
        phases.append(known[key])
    return GroundTruth(
        scenario=scenario,
        models=scenario.models,
        complexities=tuple(table.by_complexity),
        items=np.array([outcomes.items for outcomes in table.by_complexity.values()], dtype=np.int64),
        phases=tuple(phases),
    )


def single_best_model(ground_truth: GroundTruth) -> str:
    """Return the model with the highest reward if it did all tasks of the scenario; its reward is 0 while it is absent."""
    total = np.zeros(len(ground_truth.models))
    for phase, truth in zip(ground_truth.scenario.phases, ground_truth.phases, strict=True):
        total += phase.events * np.where(truth.present, truth.utility.mean(axis=1), 0.0)
    return ground_truth.models[int(np.argmax(total))]


def _phase_truth(scenario: Scenario, phase: Phase, table: OutcomeTable) -> PhaseTruth:
    models = scenario.models
    answers = tuple((phase.serve.get(model, model), model in phase.outage) for model in models)
    slow = tuple(phase.slow.get(model, 1.0) for model in models)
    rows = np.array([table.models.index(source) for source, _ in answers])
    out = np.array([is_out for _, is_out in answers])
    by_complexity = tuple(
        _true_outcomes(outcomes, rows, out, np.array(slow), scenario.weights)
        for outcomes in table.by_complexity.values()
    )
    present = np.array([model not in phase.absent for model in models])
    success = np.column_stack([truth.reward.mean(axis=1) for truth in by_complexity])
    utility = np.column_stack([truth.utility.mean(axis=1) for truth in by_complexity])
    items = [truth.reward.shape[1] for truth in by_complexity]
    intervals = np.array([[wilson_interval(p * n, n) for p, n in zip(row, items, strict=True)] for row in success])
    present_utility = np.where(present[:, None], utility, -np.inf)
    return PhaseTruth(
        by_complexity=by_complexity,
        present=present,
        answers=answers,
        slow=slow,
        success=success,
        utility=utility,
        low=intervals[:, :, 0] - (success - utility),
        high=intervals[:, :, 1] - (success - utility),
        best=np.argmax(present_utility, axis=0),
        most_successful=np.argmax(np.where(present[:, None], success, -np.inf), axis=0),
        least_successful=np.argmin(np.where(present[:, None], success, np.inf), axis=0),
        right=present_utility >= present_utility.max(axis=0) - INDIFFERENCE,
    )


def _true_outcomes(
    outcomes: Outcomes, rows: Integers, out: NDArray[np.bool_], slow: Floats, weights: Weights
) -> TrueOutcomes:
    reward = np.where(out[:, None], 0.0, outcomes.reward[rows])
    latency_ms, cost_usd = outcomes.latency_ms[rows] * slow[:, None], outcomes.cost_usd[rows]
    utility = reward - weights.latency * share_of(latency_ms, weights.latency_ref_ms)
    utility -= weights.cost * share_of(cost_usd, weights.cost_ref_usd)
    return TrueOutcomes(reward, latency_ms, cost_usd, utility)


def share_of(value: Floats, reference: float) -> Floats:
    """Return min(value / reference, 1); 0 where there is no value."""
    return np.nan_to_num(np.minimum(value / reference, 1.0), nan=0.0)
