"""Reads the changes of models that were told, and the new ids of models that may become one, for rules."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg

from centralcloud.learning.evidence import ModelChange, NewVersion, Pair
from centralcloud.learning.model_versions import ALTERNATING_SWITCHES, FLEET
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


class _NewVersion(NamedTuple):
    model: str
    version: str
    after_slice: int
    instances: list[str]


_RECENT_MODEL_CHANGES = Query(__package__, "recent_model_changes", row=_Row)
_NEW_VERSIONS = Query(__package__, "new_versions", row=_NewVersion)


def read_model_changes(
    connection: psycopg.Connection[Any], pairs: Collection[Pair]
) -> Mapping[Pair, Sequence[ModelChange]]:
    """Return the changes of each of `pairs` that were told within 30 days, oldest first; only pairs that have one."""
    found: dict[Pair, list[ModelChange]] = {}
    rows = _RECENT_MODEL_CHANGES.all(connection)
    by_model = _by_model(pairs, {row.model for row in rows})
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


def read_new_versions(
    connection: psycopg.Connection[Any], pairs: Collection[Pair]
) -> Mapping[Pair, Sequence[NewVersion]]:
    """Return the ids that answers name for the model of each of `pairs`, and that do not count yet; only pairs with one."""
    found: dict[Pair, list[NewVersion]] = {}
    rows = _NEW_VERSIONS.all(connection, {"fleet": FLEET, "alternating_switches": ALTERNATING_SWITCHES})
    by_model = _by_model(pairs, {row.model for row in rows})
    for row in rows:
        new = NewVersion(version=row.version, after_slice=row.after_slice, instances=frozenset(row.instances))
        for pair in by_model.get(row.model, ()):
            found.setdefault(pair, []).append(new)
    return found


def _by_model(pairs: Collection[Pair], models: Collection[str]) -> dict[str, list[Pair]]:
    by_model: dict[str, list[Pair]] = {}
    for pair in pairs:
        if pair[0] in models:
            by_model.setdefault(pair[0], []).append(pair)
    return by_model
