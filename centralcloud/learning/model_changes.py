"""Reads the changes of models that were told, for rules."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg

from centralcloud.learning.evidence import ModelChange, Pair
from centralcloud.runtime.postgres.query import Query


class _Row(NamedTuple):
    change_id: int
    model: str
    complexity: str | None
    after_slice: int
    instance_id: str | None
    version_before: str | None
    version_after: str | None
    undone: bool


_RECENT_MODEL_CHANGES = Query(__package__, "recent_model_changes", row=_Row)


def read_model_changes(
    connection: psycopg.Connection[Any], pairs: Collection[Pair]
) -> Mapping[Pair, Sequence[ModelChange]]:
    """Return the changes of each of `pairs` that were told within 30 days, oldest first; only pairs that have one."""
    found: dict[Pair, list[ModelChange]] = {}
    rows = _RECENT_MODEL_CHANGES.all(connection)
    changed = {row.model for row in rows}
    by_model: dict[str, list[Pair]] = {}
    for pair in pairs:
        if pair[0] in changed:
            by_model.setdefault(pair[0], []).append(pair)
    for row in rows:
        change = ModelChange(
            change_id=row.change_id,
            after_slice=row.after_slice,
            version_before=row.version_before,
            version_after=row.version_after,
            instance_id=row.instance_id,
            undone=row.undone,
        )
        for pair in by_model.get(row.model, ()):
            if row.complexity in (None, pair[1]):
                found.setdefault(pair, []).append(change)
    return found
