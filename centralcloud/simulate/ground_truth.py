"""The truth in each phase of a scenario: the real success of every model, and the best one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from centralcloud.contracts import SettingsError
from centralcloud.contracts.task_score import OTHER_TASK_TYPE
from centralcloud.learning.evidence import Pair
from centralcloud.learning.rule import wilson_interval
from centralcloud.runtime.arrays import Booleans, Floats, Integers
from centralcloud.simulate.outcome_table import OutcomeTable
from centralcloud.simulate.scenario import Phase, Scenario

#: A model whose utility is this close to the best one's is also right: no rule can tell them apart within the few thousand
#: tasks in which it has to find the best (a difference of 0.01 takes about ten thousand outcomes of both).
INDIFFERENCE: Final = 0.01
#: The source of the outcomes of a model that always fails.
OUT: Final = -1


@dataclass(frozen=True, slots=True)
class TrueOutcomes:
    """The outcome of each model for each item in one phase; arrays of shape (models, items).

    Attributes:
        complexity, task_type: of each item, as numbers; shape (items,).
        reward: success, 0 to 1; an expected one where it is estimated.
        latency_ms, cost_usd: NaN where the table has no value.
        utility: reward less the penalties for latency and cost. Where a value is missing, the penalty is the mean of the
            model's others at the complexity, 0 if there is none.
        estimated: which outcomes the table does not have.
    """

    complexity: Integers
    task_type: Integers
    reward: Floats
    latency_ms: Floats
    cost_usd: Floats
    utility: Floats
    estimated: Booleans


@dataclass(frozen=True, slots=True)
class PhaseTruth:
    """The truth in one phase; arrays of shape (models, complexities), if nothing else is said.

    Attributes:
        outcomes: of every item.
        present: which models are in the catalogs with a score for the complexity.
        answers: the source of the outcomes: a row of the table, or `OUT`. Phases with equal sources differ in latency and
            cost at most.
        success, utility: means over all items.
        low, high: 95% Wilson interval of the success in the table, less the mean penalty for latency and cost.
        best: the present model of greatest utility; shape (complexities,).
        most_successful: the present one of greatest success.
        least_successful: the present one of least success.
        right: which present models are within `INDIFFERENCE` of the best.
        oracle_utility, oracle_success: of the best, and of the most successful model of the item's complexity; (items,).
        typed_oracle_utility: of the model that is best for the item's complexity and task type.
    """

    outcomes: TrueOutcomes
    present: Booleans
    answers: Integers
    success: Floats
    utility: Floats
    low: Floats
    high: Floats
    best: Integers
    most_successful: Integers
    least_successful: Integers
    right: Booleans
    oracle_utility: Floats
    oracle_success: Floats
    typed_oracle_utility: Floats


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The truth of a scenario.

    Attributes:
        models, complexities: rows and columns.
        task_types: those that are told apart; empty if none are.
        items: number of items of each complexity; they are numbered in this order.
        shares: share of the tasks that each complexity has.
        phases: one for each phase.
    """

    scenario: Scenario
    models: tuple[str, ...]
    complexities: tuple[str, ...]
    task_types: tuple[str, ...]
    items: Integers
    shares: Floats
    phases: tuple[PhaseTruth, ...]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every pair; the pair of model m and complexity c is at m * len(complexities) + c."""
        return tuple((model, complexity) for model in self.models for complexity in self.complexities)

    def for_seed(self, seed: int) -> "GroundTruth":  # noqa: ARG002
        """Return the truth of a run: the same for every seed."""
        return self


def make_ground_truth(scenario: Scenario, table: OutcomeTable) -> GroundTruth:
    """Compute the truth of `scenario`; `table` has at least the outcomes of the models that answer in it.

    Raises:
        SettingsError: in some phase no model is left for a complexity.
    """
    names, task_type = _told_apart(table, scenario.task_types)
    known: dict[tuple[object, ...], PhaseTruth] = {}
    phases = []
    for position, phase in enumerate(scenario.phases):
        served = tuple((alias, tuple(sorted(by.items()))) for alias, by in sorted(phase.serve.items()))
        factors = tuple(tuple(sorted(each.items())) for each in (phase.slow, phase.price))
        key = (served, phase.absent, factors, phase.outage)
        if key not in known:
            known[key] = _phase_truth(scenario, phase, table, task_type)
            for complexity in np.flatnonzero(~known[key].present.any(axis=0)):
                raise SettingsError(
                    f"phases[{position}]: found no model with outcomes for {table.complexities[complexity]} tasks, "
                    "expected one"
                )
        phases.append(known[key])
    shares = np.array([scenario.complexities.get(name, 0.0) for name in table.complexities])
    return GroundTruth(
        scenario=scenario,
        models=scenario.models,
        complexities=table.complexities,
        task_types=names,
        items=table.items,
        shares=shares if shares.any() else np.full(len(shares), 1 / len(shares)),
        phases=tuple(phases),
    )


def single_best_model(ground_truth: GroundTruth) -> str:
    """Return the model with the highest reward if it did all tasks of the scenario; its reward is 0 while it is absent."""
    total = np.zeros(len(ground_truth.models))
    for phase, truth in zip(ground_truth.scenario.phases, ground_truth.phases, strict=True):
        total += phase.events * np.where(truth.present, truth.utility, 0.0) @ ground_truth.shares
    return ground_truth.models[int(np.argmax(total))]


def share_of(value: Floats, reference: float) -> Floats:
    """Return min(value / reference, 1); 0 where there is no value."""
    return np.nan_to_num(np.minimum(value / reference, 1.0), nan=0.0)


def _told_apart(table: OutcomeTable, most: int) -> tuple[tuple[str, ...], Integers]:
    """Return the names of the task types, and the number of each item's: the most frequent ones, the rest is another."""
    if not (table.task_types and most):
        return (), np.zeros(len(table.task_type), dtype=np.int64)
    counts = np.bincount(table.task_type, minlength=len(table.task_types))
    named = [
        number
        for number in np.argsort(-counts, kind="stable").tolist()
        if table.task_types[number] not in ("", OTHER_TASK_TYPE)
    ]
    kept = sorted(named[:most])
    names = (*(table.task_types[number] for number in kept), OTHER_TASK_TYPE)
    numbers = np.full(len(table.task_types), len(kept), dtype=np.int64)
    numbers[kept] = np.arange(len(kept))
    return names, numbers[table.task_type]


def _phase_truth(scenario: Scenario, phase: Phase, table: OutcomeTable, task_type: Integers) -> PhaseTruth:
    models, complexities = scenario.models, table.complexities
    answers = np.array(
        [
            [table.models.index(phase.serve.get(model, {}).get(complexity, model)) for complexity in complexities]
            for model in models
        ]
    )
    column = np.arange(len(complexities))
    recorded = table.recorded[answers, column]
    own = table.recorded[[table.models.index(model) for model in models]]
    here = np.array([model not in phase.absent for model in models])
    present = here[:, None] & (own > 0) & (recorded > 0)
    answers[[model in phase.outage for model in models]] = OUT
    outcomes = _true_outcomes(scenario, phase, table, answers, task_type)
    success, utility = (_means(values, outcomes.complexity) for values in (outcomes.reward, outcomes.utility))
    intervals = np.array(
        [[wilson_interval(p * n, n) for p, n in zip(*row, strict=True)] for row in zip(success, recorded, strict=True)]
    )
    present_utility = np.where(present, utility, -np.inf)
    best = np.argmax(present_utility, axis=0)
    most_successful = np.argmax(np.where(present, success, -np.inf), axis=0)
    item = np.arange(len(outcomes.complexity))
    return PhaseTruth(
        outcomes=outcomes,
        present=present,
        answers=answers,
        success=success,
        utility=utility,
        low=intervals[:, :, 0] - (success - utility),
        high=intervals[:, :, 1] - (success - utility),
        best=best,
        most_successful=most_successful,
        least_successful=np.argmin(np.where(present, success, np.inf), axis=0),
        right=present_utility >= present_utility.max(axis=0) - INDIFFERENCE,
        oracle_utility=outcomes.utility[best[outcomes.complexity], item],
        oracle_success=outcomes.reward[most_successful[outcomes.complexity], item],
        typed_oracle_utility=_typed_oracle(outcomes, present),
    )


def _true_outcomes(
    scenario: Scenario, phase: Phase, table: OutcomeTable, answers: Integers, task_type: Integers
) -> TrueOutcomes:
    rows, item = answers[:, table.complexity], np.arange(len(table.complexity))
    reward = np.where(rows == OUT, 0.0, table.reward[rows, item])
    latency_ms = table.latency_ms[rows, item] * _factors(scenario.models, phase.slow)
    cost_usd = table.cost_usd[rows, item] * _factors(scenario.models, phase.price)
    weights = scenario.weights
    penalty = _penalty(latency_ms, weights.latency, weights.latency_ref_ms, table.complexity)
    penalty += _penalty(cost_usd, weights.cost, weights.cost_ref_usd, table.complexity)
    estimated = table.estimated[rows, item] & (rows != OUT)
    return TrueOutcomes(table.complexity, task_type, reward, latency_ms, cost_usd, reward - penalty, estimated)


def _factors(models: Sequence[str], factors: Mapping[str, float]) -> Floats:
    return np.array([[factors.get(model, 1.0)] for model in models])


def _penalty(values: Floats, weight: float, reference: float, complexity: Integers) -> Floats:
    """Return the penalty of each outcome; where the value is missing, the mean of the model's at that complexity."""
    if not weight:
        return np.zeros_like(values)
    known = ~np.isnan(values)
    shares = share_of(values, reference)
    if not known.all():
        count, total = _sums(known.astype(np.float64), complexity), _sums(shares, complexity)
        mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
        shares = np.where(known, shares, mean[:, complexity])
    return weight * shares


def _sums(values: Floats, group: Integers) -> Floats:
    """Return the sums over the items of each group; shape (models, groups)."""
    sums: Floats = values @ np.eye(int(group.max()) + 1)[group]
    return sums


def _means(values: Floats, group: Integers) -> Floats:
    return np.column_stack([values[:, group == each].mean(axis=1) for each in range(int(group.max()) + 1)])


def _typed_oracle(outcomes: TrueOutcomes, present: Booleans) -> Floats:
    types = int(outcomes.task_type.max()) + 1
    cell = outcomes.complexity * types + outcomes.task_type
    total = _sums(outcomes.utility, cell)
    cells = np.arange(total.shape[1])
    best = np.argmax(np.where(present[:, cells // types], total, -np.inf), axis=0)
    utility: Floats = outcomes.utility[best[cell], np.arange(len(cell))]
    return utility
