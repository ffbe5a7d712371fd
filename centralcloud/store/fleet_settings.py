"""Settings of the whole fleet, as rows: a name, and a value in JSON. The meaning of a name is not known here."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from centralcloud.runtime.postgres.query import Query
from centralcloud.store.score_lock import bump_score_revision, lock_scores
from centralcloud.store.swallowed_rows import require_stored


class StoredSetting(NamedTuple):
    """One row of `fleet_settings`.

    Attributes:
        name: such as ``rule`` or ``retention.records_days``.
        value: a JSON value.
        updated_at: when the value was written.
    """

    name: str
    value: Any
    updated_at: datetime


_LIST_SETTINGS = Query(__package__, "list_fleet_settings", row=StoredSetting)
_INSERT_SETTINGS = Query(__package__, "insert_fleet_settings", row=str)
_UPSERT_SETTING = Query(__package__, "upsert_fleet_setting")


def list_settings(connection: psycopg.Connection[Any]) -> list[StoredSetting]:
    """Every stored setting, ordered by name."""
    return _LIST_SETTINGS.all(connection)


def insert_missing_settings(connection: psycopg.Connection[Any], values: Mapping[str, Any]) -> list[str]:
    """Store the values whose names are not stored yet. Returns these names.

    Under the score lock, as for `store_setting`: of several replicas that do so at the same time the first one wins with all
    its values.
    """
    lock_scores(connection)
    inserted = _INSERT_SETTINGS.all(connection, {"settings": Jsonb(dict(values))})
    if inserted:
        bump_score_revision(connection)
    return sorted(inserted)


def store_setting(connection: psycopg.Connection[Any], name: str, value: Any) -> None:
    """Store one value, over the one before. The transaction must hold the score lock.

    A run of the learner that has read the settings before reads again before it publishes.
    """
    stored = _UPSERT_SETTING.run(connection, {"name": name, "value": Jsonb(value)})
    require_stored("fleet_settings", written=1, stored=stored)
    bump_score_revision(connection)
