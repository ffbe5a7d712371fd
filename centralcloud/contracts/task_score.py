"""The learned score of one task type of a pair, as a score update has it under `task_types`."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from centralcloud.contracts.estimate import NO_ESTIMATE, Estimate, parse_estimate
from centralcloud.contracts.limits import MAX_INT8, MAX_LABEL_LENGTH
from centralcloud.contracts.text import has_steering
from centralcloud.contracts.validators import is_integer, is_score

#: Task types of a fleet that have scores of their own, `OTHER_TASK_TYPE` included.
MAX_TASK_TYPES: Final = 32
#: Stands for every task type that has none.
OTHER_TASK_TYPE: Final = "other"


class TaskScore(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The score of a (model, complexity) for the tasks of one type.

    Attributes:
        score: 0.0 to 5.0.
        estimate: the success probability behind it; always with `mean` and `n_eff`.
        version: of the update in which these numbers changed last; None before they are published.
        samples: number of outcomes that came with this task type; 0 in a score update, which does not have them.
    """

    score: float
    estimate: Estimate = NO_ESTIMATE
    version: int | None = None
    samples: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return its JSON form, as in a score update."""
        return {"score": self.score, **self.estimate.to_json(), "version": self.version}


TaskScores = Mapping[str, TaskScore]


def task_scores_to_json(task_types: TaskScores) -> dict[str, Any]:
    """Return the JSON form of the scores of task types, by name."""
    return {name: each.to_json() for name, each in task_types.items()}


def parse_task_scores(value: Any) -> dict[str, TaskScore]:
    """Parse the scores of task types in a score update, by name.

    One that is not valid is left out, and so are all of them if there are too many: tasks of these types are then routed by
    the score of the pair.
    """
    if not isinstance(value, dict) or len(value) > MAX_TASK_TYPES:
        return {}
    parsed = {name: _parse(each) for name, each in value.items() if _is_name(name)}
    return {name: each for name, each in parsed.items() if each is not None}


def _parse(value: Any) -> TaskScore | None:
    if not isinstance(value, dict) or not is_score(value.get("score")):
        return None
    estimate, version = parse_estimate(value), value.get("version")
    if estimate.mean is None or (version is not None and not (is_integer(version) and 1 <= version <= MAX_INT8)):
        return None
    samples = value.get("samples")
    return TaskScore(
        score=float(value["score"]),
        estimate=estimate,
        version=version,
        samples=samples if is_integer(samples) and samples >= 0 else 0,
    )


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and 1 <= len(name) <= MAX_LABEL_LENGTH and not has_steering(name)
