"""Experiments whose scopes overlap: a request that both would take is in the first one by id alone. Pure."""

from collections.abc import Iterable
from typing import Final

from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration.experiment import Experiment, ExperimentScope

#: Names that a client sends for a model of the router's choice: the scope without requested models.
_NO_NAMES: Final = ("auto",)


def overlap_notes(experiment: Experiment, others: Iterable[Experiment]) -> list[str]:
    """Return a sentence for each other experiment that takes, or loses, requests in the scope of this one.

    Args:
        others: of the same configuration. The experiment itself is left out, and so are those that have ended.
    """
    notes = []
    for other in others:
        if other.id == experiment.id or not other.is_routed or not _overlap(experiment.scope, other.scope):
            continue
        first = min(experiment.id, other.id)
        whose = "this one" if first == experiment.id else "that one"
        notes.append(
            f"its scope overlaps with that of the experiment {quote(other.id)}: "
            f"the requests of both scopes are in {whose} alone, the first by id"
        )
    return notes


def _overlap(one: ExperimentScope, other: ExperimentScope) -> bool:
    """Return whether a request may be in both scopes."""
    names = one.requested_models or _NO_NAMES, other.requested_models or _NO_NAMES
    return bool(set(names[0]) & set(names[1])) and all(
        not first or not second or set(first) & set(second)
        for first, second in (
            (one.complexities, other.complexities),
            (one.task_types, other.task_types),
            (one.policies, other.policies),
            (one.workspaces, other.workspaces),
        )
    )
