"""Estimates for the holes of a table: tasks that a model did not do.

The Rasch model of test theory (Rasch 1960), for each complexity: the logit of success is the ability of the model less the
difficulty of the task, plus an effect of the model at the task type. So a model that did only the easy tasks is not taken
for an able one. All three are shrunk: abilities to their mean with a standard deviation of 3, effects to 0 with 0.5, and
difficulties with 1 to the mean of the tasks that the same models did, which itself is shrunk to 0 by 10 tasks. It is an
estimate: no table tells what a model would have done at a task that it did not do.
"""

from typing import Final

import numpy as np

from centralcloud.runtime.arrays import Booleans, Floats, Integers

_ABILITY_SD: Final = 3.0
_DIFFICULTY_SD: Final = 1.0
_EFFECT_SD: Final = 0.5
_EVEN_TASKS: Final = 10.0
_ROUNDS: Final = 100
_SETTLED: Final = 1e-6
_LARGEST_STEP: Final = 2.0


def estimate_rewards(reward: Floats, known: Booleans, task_type: Integers) -> Floats:
    """Return the expected reward of each model for each task; shape (models, items), as `reward` and `known`.

    Args:
        reward: 0 to 1; values that are not `known` are ignored.
        task_type: of each task, as a number; all 0 if there are none.
    """
    reward = np.where(known, reward, 0.0)
    types = int(task_type.max(initial=0)) + 1
    of_type = np.eye(types)[task_type]  # (items, types)
    ability, difficulty = np.zeros(len(reward)), np.zeros(reward.shape[1])
    effect = np.zeros((len(reward), types))
    _, alike, of_alike = np.unique(known, axis=1, return_inverse=True, return_counts=True)[:3]
    alike = alike.reshape(-1)
    for _ in range(_ROUNDS):
        excess, weight = _excess(reward, known, ability, effect, difficulty, task_type)
        change = _step(
            excess.sum(axis=1) - (ability - ability.mean()) / _ABILITY_SD**2, weight.sum(axis=1), _ABILITY_SD
        )
        ability = ability + change
        excess, weight = _excess(reward, known, ability, effect, difficulty, task_type)
        usual = np.bincount(alike, weights=difficulty) / (of_alike + _EVEN_TASKS)
        harder = _step(
            -excess.sum(axis=0) - (difficulty - usual[alike]) / _DIFFICULTY_SD**2, weight.sum(axis=0), _DIFFICULTY_SD
        )
        difficulty = difficulty + harder
        if types > 1:
            excess, weight = _excess(reward, known, ability, effect, difficulty, task_type)
            effect += _step(excess @ of_type - effect / _EFFECT_SD**2, weight @ of_type, _EFFECT_SD)
        if max(np.abs(change).max(), np.abs(harder).max()) < _SETTLED:
            break
    return _expected(ability, effect, difficulty, task_type)


def _excess(
    reward: Floats, known: Booleans, ability: Floats, effect: Floats, difficulty: Floats, task_type: Integers
) -> tuple[Floats, Floats]:
    """Return the reward above the expected one, and the weight of each outcome; 0 where it is not known."""
    expected = _expected(ability, effect, difficulty, task_type)
    return np.where(known, reward - expected, 0.0), np.where(known, expected * (1 - expected), 0.0)


def _expected(ability: Floats, effect: Floats, difficulty: Floats, task_type: Integers) -> Floats:
    logit = ability[:, None] + effect[:, task_type] - difficulty
    expected: Floats = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
    return expected


def _step(slope: Floats, curvature: Floats, sd: float) -> Floats:
    step: Floats = np.clip(slope / (curvature + 1 / sd**2), -_LARGEST_STEP, _LARGEST_STEP)
    return step
