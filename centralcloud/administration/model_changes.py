"""Changes of a model that an operator knows of: the model is learned anew, or as if it had not changed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from centralcloud.administration.models import UnknownModelError, known_complexities
from centralcloud.learning.version_tracking import INSERT_MODEL_CHANGE, LOCK_VERSIONS
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.operator_actions import Action, Operator, record_action
from centralcloud.store.slices import References, close_slice


class UndoneChange(NamedTuple):
    """A change that counts no more. `complexity` None: of all; the versions are None where an operator told it."""

    change_id: int
    complexity: str | None
    version_before: str | None
    version_after: str | None
    created_at: datetime


_UNDO_MODEL_CHANGE = Query(__package__, "undo_model_change", row=UndoneChange)


def mark_changed(
    database: Database, model: str, complexities: Sequence[str], references: References, operator: Operator
) -> list[str]:
    """Tell the rules that a model has changed: evidence up to now is that of the old one.

    Its scores stay until the next run of the learner. A rule without estimates, such as `threshold`, does not use it.

    Args:
        complexities: for which it has changed; empty: for all.

    Returns:
        The complexities for which the model is known and has changed.

    Raises:
        UnknownModelError: the model, or one of its complexities, was never chosen or scored.
    """
    after_slice = close_slice(database, references)
    with database.transaction() as connection:
        known = known_complexities(connection, model)
        if unknown := [each for each in complexities if each not in known]:
            raise UnknownModelError(
                f"found no {model} for {unknown[0]} tasks, expected one of its complexities: {', '.join(known)}"
            )
        LOCK_VERSIONS.run(connection)
        nothing = dict.fromkeys(("provider", "instance_id", "version_before", "version_after"))
        change = {**nothing, "model": model, "after_slice": after_slice, "reason": operator.reason}
        for complexity in complexities or (None,):
            INSERT_MODEL_CHANGE.one(connection, {**change, "complexity": complexity})
        concerned = list(complexities) or known
        after: dict[str, Any] = {"complexities": concerned, "after_slice": after_slice}
        record_action(connection, operator, Action.MARK_MODEL_CHANGED, model, after=after)
    return concerned


def undo_change(database: Database, model: str, operator: Operator) -> list[UndoneChange]:
    """Undo the newest change of a model, whether an operator or its provider told it.

    The next run of the learner counts the earlier evidence of a pair again, unless a later alarm has moved its window.

    Raises:
        UnknownModelError: no change was told within 30 days, or each was undone.
    """
    with database.transaction() as connection:
        LOCK_VERSIONS.run(connection)
        undone = _UNDO_MODEL_CHANGE.all(connection, {"model": model})
        if not undone:
            raise UnknownModelError(
                f"found no change of {model} within 30 days, expected one that `models changed` or its provider told"
            )
        first = undone[0]
        before = {
            "complexities": [each.complexity for each in undone if each.complexity],
            "version_before": first.version_before,
            "version_after": first.version_after,
            "at": first.created_at.isoformat(),
        }
        record_action(connection, operator, Action.UNDO_MODEL_CHANGE, model, before=before)
    return undone
