"""False reports: what an adversarial instance reports instead of the true outcomes.

- `all_failure`: every task as a failure of the model that did it.
- `invert`: the opposite outcome: 1 less the reward.
- `drip`: the opposite outcome for 30% of its tasks, the true one for the others.
- `fabricate`: for each task an invented one of the same complexity: with equal chances a success of the worst or a failure
  of the best present model, by true success, with the latency and cost that it would have had.
- `flood`: as `fabricate`, but eleven invented tasks for each task.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from centralcloud.runtime.arrays import Floats
from centralcloud.simulate.ground_truth import PhaseTruth
from centralcloud.simulate.reports import Reports, Tasks
from centralcloud.simulate.scenario import Adversary

#: Share of the tasks, and reports per task; docs/reference/specification.md.
_DRIP_SHARE: Final = 0.3
_FLOOD_VOLUME: Final = 11


def report(
    tasks: Tasks, truth: PhaseTruth, first_event: int, adversaries: Sequence[Adversary], rng: np.random.Generator
) -> Reports:
    """Return the instances' reports of `tasks`, the first of which is number `first_event` of the scenario."""
    complexities = truth.success.shape[1]
    if not adversaries:
        return Reports.honest(tasks, complexities)
    number = first_event + np.arange(len(tasks.item))
    lies = [(tasks.instance == each.instance) & (number >= each.from_event) for each in adversaries]
    parts = [Reports.honest(tasks.chosen(np.flatnonzero(~np.any(lies, axis=0))), complexities)]
    for each, where in zip(adversaries, lies, strict=True):
        if where.any():
            parts.append(_lie(each.kind, tasks.chosen(np.flatnonzero(where)), truth, rng))
    return Reports.joined(parts)


def _lie(kind: str, tasks: Tasks, truth: PhaseTruth, rng: np.random.Generator) -> Reports:
    complexities = truth.success.shape[1]
    if kind == "all_failure":
        return _with_rewards(Reports.honest(tasks, complexities), np.zeros(len(tasks.item)))
    if kind == "invert":
        return _with_rewards(Reports.honest(tasks, complexities), 1.0 - tasks.reward)
    if kind == "drip":
        lied = rng.random(len(tasks.item)) < _DRIP_SHARE
        return _with_rewards(Reports.honest(tasks, complexities), np.where(lied, 1.0 - tasks.reward, tasks.reward))
    if kind == "flood":
        tasks = tasks.chosen(np.repeat(np.arange(len(tasks.item)), _FLOOD_VOLUME))
    as_success = rng.random(len(tasks.item)) < 0.5
    model = np.where(as_success, truth.least_successful[tasks.complexity], truth.most_successful[tasks.complexity])
    invented = Tasks.done(truth, tasks.instance, tasks.item, model)
    return _with_rewards(Reports.honest(invented, complexities), as_success.astype(np.float64))


def _with_rewards(reports: Reports, rewards: Floats) -> Reports:
    return replace(reports, reward=rewards)
