"""Follows the versions of models through the outcomes that were ingested, each slice once."""

from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.learning.model_versions import (
    OF_FLEET,
    OF_INSTANCE,
    PastChange,
    Run,
    Stream,
    ToldChange,
    follow,
)
from centralcloud.learning.publication import read_clock
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import LONG_LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.swallowed_rows import require_stored

log = get_logger(__name__)


class _Progress(NamedTuple):
    done: int
    through_slice: int
    after_record_id: int
    through_record_id: int


class _Unsteady(NamedTuple):
    model: str
    provider: str


LOCK_VERSIONS: Final = Query(__package__, "lock_versions")
INSERT_MODEL_CHANGE: Final = Query(__package__, "insert_model_change", row=int)
_VERSIONS_PROGRESS = Query(__package__, "versions_progress", row=_Progress)
_STORE_VERSIONS_PROGRESS = Query(__package__, "store_versions_progress")
_UNSTEADY_VERSIONS = Query(__package__, "unsteady_versions", row=_Unsteady)
_VERSION_RUNS = Query(__package__, "version_runs", row=Run)
_VERSION_STREAMS = Query(__package__, "version_streams", row=Stream)
_STORE_VERSION_STREAM = Query(__package__, "store_version_stream")
_TOLD_VERSIONS = Query(__package__, "told_versions", row=PastChange)


def follow_versions(database: Database) -> list[ToldChange]:
    """Follow the versions through the slices whose evidence is complete; store and return the changes that they tell.

    One transaction, so that each outcome counts once. The ids of the records decide which outcomes follow each other, and
    never change once their slice is closed: the result does not depend on when this runs, or how often.
    """
    with database.transaction(limit_seconds=LONG_LIMIT_SECONDS) as connection:
        LOCK_VERSIONS.run(connection)
        progress = _VERSIONS_PROGRESS.maybe(connection)
        if progress is None or progress.through_slice <= progress.done:
            return []
        changes = _follow(connection, progress)
        _STORE_VERSIONS_PROGRESS.run(connection, {"through_slice": progress.through_slice})
    for change in changes:
        log.info("model_version_changed", **change._asdict())
    return changes


def _follow(connection: psycopg.Connection[Any], progress: _Progress) -> list[ToldChange]:
    records = {"after_record_id": progress.after_record_id, "through_record_id": progress.through_record_id}
    unsteady = _UNSTEADY_VERSIONS.all(connection, records)
    if not unsteady:
        return []
    models = sorted({each.model for each in unsteady})
    wanted = {"models": [each.model for each in unsteady], "providers": [each.provider for each in unsteady]}
    needed = {"of_instance": OF_INSTANCE, "of_fleet": OF_FLEET}
    followed = follow(
        _VERSION_STREAMS.all(connection, {"models": models}),
        _VERSION_RUNS.all(connection, {**records, **wanted, **needed}),
        _TOLD_VERSIONS.all(connection, {"models": models}),
        read_clock(connection),
    )
    for stream in followed.streams:
        stored = _STORE_VERSION_STREAM.run(connection, stream._asdict())
        require_stored("model_versions", written=1, stored=stored)
    for change in followed.changes:
        INSERT_MODEL_CHANGE.one(connection, {**change._asdict(), "complexity": None, "reason": None})
    return followed.changes
