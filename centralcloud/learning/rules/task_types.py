"""Estimates for the tasks of one type: those of the pair, moved by the outcomes that came with the task type.

On the scale of log-odds, the rate of a (model, complexity, task type) is expected to be that of the pair, plus how much
harder or easier the task type is for all other models, plus how much better or worse the model is at it at other
complexities. Its own outcomes have no part in this expectation. It counts like so many outcomes as such expectations have
held. All of it begins at "a task type makes no difference", and leaves it only as far as chance does not explain the
differences: a fleet whose task types mean nothing loses nothing by them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, NamedTuple

from centralcloud.contracts.estimate import Estimate
from centralcloud.contracts.task_score import TaskScore
from centralcloud.learning.evidence import Evidence, Pair
from centralcloud.learning.rule import HIGHEST_SCORE, RuleResult, RuleState, Score, as_score
from centralcloud.learning.rules.shrinkage import LEAST_RATE, LEAST_WORTH, draw_outcomes, shrink
from centralcloud.learning.task_evidence import Task, TaskEvidence
from centralcloud.runtime.arrays import Floats, Integers, np

#: Differences between task types count from this many standard errors of chance on.
_CHANCE_ERRORS: Final = 2.0
#: Cells (or task types) without any difference that are added to those that there are.
_EVEN_CELLS: Final = 20.0
#: Weight of few outcomes: a cell with n outcomes counts as (n / (n + 4))^2 of a cell.
_TESTED_OUTCOMES: Final = 4.0
#: A prior is worth at most so many outcomes, and never less than 2.
_MOST_WORTH: Final = 10_000.0
#: Rates are compared with those of pairs from 0.005 to 0.995: beyond, a few outcomes would make a large difference.
_LEAST_COMPARED: Final = 0.005
#: A prior is a rate above 0 and below 1. Without a shift it is that of the pair, however close to 0 or 1.
_LEAST_PRIOR: Final = 0.0001
#: Key of a state's payload: by task type, the prior of its newest score, and how many outcomes that counted.
PRIORS: Final = "task_types"


class PairNow(NamedTuple):
    """The estimate of a pair in this run.

    Attributes:
        mean, n_eff: its success probability, as in `Estimate`.
        dispersion: phi: variance of its rewards over that of outcomes of 0 or 1.
        after_slice: its window begins after this slice.
    """

    mean: float
    n_eff: float
    dispersion: float
    after_slice: int


class TaskPriors(NamedTuple):
    """The own outcomes of tasks, and what is expected without them; arrays of shape (tasks,).

    Attributes:
        tasks: every task type of a complexity, for each of its pairs.
        outcomes, reward: in the pair's window.
        prior, worth: the expected success rate, above 0 and below 1, and how many outcomes it counts.
        dispersion: that of the pair.
    """

    tasks: list[Task]
    outcomes: Floats
    reward: Floats
    prior: Floats
    worth: Floats
    dispersion: Floats


def add_task_scores(evidence: Evidence, result: RuleResult, dispersion: Floats) -> None:
    """Give each score of `result` those of its task types, and its state what `recompute_task_scores` needs.

    `dispersion` is that of each pair, in the order of `evidence.pairs`.
    """
    if not evidence.tasks.tasks:
        return
    phi = dict(zip(evidence.pairs, dispersion.tolist(), strict=True))
    scores = {score.pair: score for score in result.scores}
    pairs = {
        pair: PairNow(score.estimate.mean, score.estimate.n_eff, phi[pair], score.after_slice)
        for pair, score in scores.items()
        if score.estimate.mean is not None and score.estimate.n_eff is not None
    }
    found = task_priors(evidence.tasks, pairs)
    prior, worth = np.round(found.prior, 4), np.round(found.worth, 2)
    mean, n_eff = (each.tolist() for each in shrink(prior, worth, found.reward, found.outcomes, found.dispersion))
    by_pair: dict[Pair, dict[str, TaskScore]] = {}
    priors: dict[Pair, dict[str, list[float]]] = {}
    for k, (model, complexity, name) in enumerate(found.tasks):
        pair = model, complexity
        estimate = Estimate(
            mean=round(mean[k], 6),
            n_eff=round(n_eff[k], 3),
            draw_n=round(draw_outcomes(n_eff[k]), 3),
            probe_share=scores[pair].estimate.probe_share,
        )
        score, samples = float(_score(mean[k], scores[pair])), round(found.outcomes[k])
        by_pair.setdefault(pair, {})[name] = TaskScore(score=score, estimate=estimate, samples=samples)
        priors.setdefault(pair, {})[name] = [float(prior[k]), float(worth[k])]
    result.scores[:] = [replace(score, task_types=by_pair.get(score.pair, {})) for score in result.scores]
    for pair, each in priors.items():
        state = result.states[pair]
        result.states[pair] = replace(state, payload={**state.payload, PRIORS: each})


def recompute_task_scores(
    evidence: Evidence, pair: Pair, after_slice: int, state: RuleState, penalty: float
) -> dict[str, Decimal]:
    """Compute the scores of the task types of `pair` from the evidence after `after_slice`, and the priors in its state."""
    own = evidence.tasks.since([after_slice] * len(evidence.tasks.tasks))
    sums = {task: (float(n), float(s)) for task, n, s in zip(evidence.tasks.tasks, *own, strict=True)}
    stored: Mapping[str, Any] = state.payload.get(PRIORS, {})
    scores = {}
    for name, (prior, worth) in stored.items():
        outcomes, reward = sums.get((*pair, name), (0.0, 0.0))
        mean = (reward + worth * prior) / (outcomes + worth)
        scores[name] = as_score(float(HIGHEST_SCORE) * min(max(mean - penalty, 0.0), 1.0))
    return scores


def _score(mean: float, pair: Score) -> Decimal:
    utility = mean - ((pair.latency_penalty or 0.0) + (pair.cost_penalty or 0.0))
    return as_score(float(HIGHEST_SCORE) * min(max(utility, 0.0), 1.0))


def task_priors(evidence: TaskEvidence, pairs: Mapping[Pair, PairNow]) -> TaskPriors:
    """Return what is expected of each task type of each pair."""
    tasks = _all_tasks(evidence, pairs)
    now = [pairs[task[0], task[1]] for task in tasks]
    windows = (pairs.get((model, complexity)) for model, complexity, _ in evidence.tasks)
    own = evidence.since([each.after_slice if each else 0 for each in windows])
    number = {task: k for k, task in enumerate(evidence.tasks)}
    known = np.array([number.get(task, -1) for task in tasks], dtype=np.int64)
    outcomes, reward = (np.where(known >= 0, sums[known], 0.0) for sums in own)
    mean, n_eff, dispersion = (np.array([each[part] for each in now]) for part in range(3))
    n, s = outcomes / dispersion, reward / dispersion
    others = np.maximum(n_eff - n, LEAST_WORTH)
    of_pair = (mean * n_eff - s) / others
    base = _log_odds(_within(of_pair, _LEAST_COMPARED))
    surprise = _log_odds(_within((s + _expit(base)) / (n + 1), _LEAST_COMPARED)) - base
    rate = (s + 2 * _expit(base)) / (n + 2)
    information = n * others / (n + others) * rate * (1 - rate)
    of_type = _numbers([task[2] for task in tasks])
    of_model = _numbers([(task[0], task[2]) for task in tasks])
    shift = _effect(of_type, of_model, surprise, information)
    shift = shift + _effect(of_model, np.arange(len(tasks)), surprise - shift, information)
    prior = _expit(_log_odds(_within(of_pair, _LEAST_PRIOR)) + shift)
    worth = _worth(prior, s, n, others)
    return TaskPriors(tasks, outcomes, reward, prior, worth * others / (worth + others), dispersion)


def _all_tasks(evidence: TaskEvidence, pairs: Mapping[Pair, PairNow]) -> list[Task]:
    """Return each pair with every task type that came at its complexity: a hard type is hard for an untried model, too."""
    types: dict[str, dict[str, None]] = {}
    for _, complexity, name in evidence.tasks:
        types.setdefault(complexity, {})[name] = None
    return [(*pair, name) for pair in pairs for name in types.get(pair[1], ())]


def _effect(group: Integers, left_out: Integers, surprise: Floats, information: Floats) -> Floats:
    """Return the mean surprise of each cell's group without its own part, shrunk by how much the groups differ at all."""
    groups = np.bincount(group, weights=information), np.bincount(group, weights=information * surprise)
    weight, total = groups
    weight = np.maximum(weight, 1e-9)
    tested = (weight / (weight + _TESTED_OUTCOMES)) ** 2
    beyond = float((tested * ((total / weight) ** 2 - 1 / weight)).sum())
    beyond -= _CHANCE_ERRORS * float(np.sqrt((2 * (tested / weight) ** 2).sum()))
    variance = beyond / (float(tested.sum()) + _EVEN_CELLS)
    if variance <= 0:
        return np.zeros(len(surprise))
    own, own_total = (np.bincount(left_out, weights=each)[left_out] for each in (information, information * surprise))
    shift: Floats = (total[group] - own_total) / (weight[group] - own + 1 / variance)
    return shift


def _worth(prior: Floats, reward: Floats, outcomes: Floats, others: Floats) -> float:
    """Return how many outcomes such priors are worth.

    As `shrinkage.prior_worth`, but the misses count only as far as they exceed what chance explains, and the prior itself is
    as uncertain as the `others` outcomes behind it. One failure of a task that nearly always succeeds is not a large miss.
    """
    tried = outcomes > 0
    n, m = outcomes[tried], prior[tried]
    chance = np.minimum(1 / n + 1 / others[tried], 1.0)
    weight = (n / (n + _TESTED_OUTCOMES)) ** 2
    miss = (reward[tried] / n - m) ** 2 / np.maximum(m * (1 - m), LEAST_RATE * (1 - LEAST_RATE))
    beyond = float((weight * (miss - chance)).sum()) - _CHANCE_ERRORS * float(
        np.sqrt((2 * (weight * chance) ** 2).sum())
    )
    share = beyond / (float((weight * (1 - chance)).sum()) + _EVEN_CELLS)
    return min(max(1 / share - 1, LEAST_WORTH), _MOST_WORTH) if share > 0 else _MOST_WORTH


def _within(rates: Floats, least: float) -> Floats:
    return np.clip(rates, least, 1 - least)


def _log_odds(rate: Floats) -> Floats:
    odds: Floats = np.log(rate / (1 - rate))
    return odds


def _expit(log_odds: Floats) -> Floats:
    rate: Floats = 1 / (1 + np.exp(-log_odds))
    return rate


def _numbers(names: Sequence[object]) -> Integers:
    number: dict[object, int] = {}
    return np.array([number.setdefault(name, len(number)) for name in names], dtype=np.int64)
