"""Names of models: giving one another, and taking one out of learning and out of every router's choice."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import dict_row

from centralcloud.contracts import COMPLEXITIES, CentralCloudError
from centralcloud.learning.current_scores import CurrentScore, read_current_scores
from centralcloud.learning.publication import Change, Publication, manual_score, publish, score_transaction
from centralcloud.learning.rule import LOWEST_SCORE, Score
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query

_LIST_MODELS = Query(__package__, "list_models")
_KNOWN_PAIRS = Query(__package__, "known_pairs")
_PUBLISHED = Query(__package__, "published_scores")
_SCORES_BEFORE = Query(__package__, "scores_before")
_FORGET_SCORES = Query(__package__, "delete_scores")
_FORGET_SOURCES = Query(__package__, "delete_score_sources")
_PUT_RETIRED = Query(__package__, "insert_retired_model")
_FORGET_RETIRED = Query(__package__, "delete_retired_model")
_TOUCH_EVIDENCE = Query(__package__, "bump_evidence_generation")
_LOCK_MAINTENANCE = Query(__package__, "lock_maintenance")
_LOCK_SCORES = Query("centralcloud.store", "lock_scores")
_LOCK_SLICE = Query("centralcloud.store", "lock_slice_for_closing")
_UNGATHERED = Query("centralcloud.store", "ungathered_slices")
_OPEN_SLICE_START = Query(__package__, "open_slice_start")
_REPAIR_RESPONSE_TIMES = Query(__package__, "repair_response_times")
_RENAME_RECORDS = Query(__package__, "rename_records")
_RENAME_EVIDENCE = Query(__package__, "rename_evidence")
_RENAME_METRICS = Query(__package__, "rename_metrics")
#: What maintenance alone writes beside evidence and records.
_RENAME_STORED = [Query(__package__, f"rename_{name}") for name in ("roll_ups", "dropped_metrics", "dropped_evidence")]
_RENAME_LEARNED = [Query(__package__, f"rename_{name}") for name in ("rule_scores", "pins", "holds")]
#: Ingest queues up behind whoever waits for the slice: it is tried for as long, and then let pass for a while.
_SLICE_WAIT: Final = "SET LOCAL lock_timeout = '2s'"
_SLICE_PAUSE_SECONDS: Final = 1.0
_SLICE_TRIES: Final = 60

#: Who says so in messages and history: not a rule, but an operator.
RENAMED: Final = "renamed"
RETIRED: Final = "retired"
REINSTATED: Final = "reinstated"


class UnknownModelError(CentralCloudError):
    """There is no such model, or it is not in the state that was expected."""


class Renaming(NamedTuple):
    """What became of a model that was given another name.

    Attributes:
        records: how many events were taken in under the old name, and are still kept.
        complexities: of its pairs; `merged` are those that the new name had before.
        changes: what instances are told, in order of version.
    """

    records: int
    complexities: list[str]
    merged: list[str]
    changes: list[Change]


class _KnownModel(NamedTuple):
    complexities: list[str]
    retired_at: datetime | None


def list_models(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """One row a model, by name: the columns of ``list_models.sql``. `success_rate` is 0 to 1, None without outcomes."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_LIST_MODELS.text).fetchall()


def rename_model(database: Database, old: str, new: str) -> Renaming:
    """Give a model another name, with everything that is known of it; a name that exists already takes it all in.

    Counters and evidence are added, pair by pair; of scores, pins and holds those of the new name stay where it has any. The
    history keeps the old name. What instances go on reporting under the old name makes a new model of that name.

    One transaction. Ingest goes on beside it, and waits only at its end, for as long as it takes to move what came in
    meanwhile; the same lock is what makes sure that nothing is left behind.

    Raises:
        UnknownModelError: nothing is known of `old`.
        psycopg.errors.LockNotAvailable: an ingest transaction hung for minutes; nothing has changed.
    """
    names = {"old": old, "new": new}
    with database.transaction(limit_seconds=None) as connection:
        connection.execute("SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        connection.execute(_LOCK_MAINTENANCE.text)
        _known_model(connection, old)
        # Whatever ingest has in hand now is newer than this.
        (in_hand,) = connection.execute(_OPEN_SLICE_START.text).fetchone() or (0,)
        records = connection.execute(_RENAME_RECORDS.text, {**names, "after_record_id": 0}).rowcount
        for statement in (*_RENAME_STORED, _RENAME_EVIDENCE):
            statement.run(connection, names)
        connection.execute(_LOCK_SCORES.text)
        _hold_ingest(connection)
        # From here on nobody takes events in, closes a slice, or gathers evidence.
        records += connection.execute(_RENAME_RECORDS.text, {**names, "after_record_id": in_hand}).rowcount
        connection.execute(_RENAME_EVIDENCE.text, names)
        known, target = _pairs(connection, old), _pairs(connection, new)
        merged = [complexity for complexity in known.complexities if complexity in target.complexities]
        connection.execute(_RENAME_METRICS.text, names)
        for complexity in merged:
            connection.execute(_REPAIR_RESPONSE_TIMES.text, {"model_name": new, "complexity_level": complexity})
        changes = _rename_scores(connection, names, known, target, merged)
        connection.execute(_TOUCH_EVIDENCE.text)
    return Renaming(records, known.complexities, merged, changes)


def retire_model(database: Database, model: str) -> list[Change]:
    """Leave a model out of learning from now on, and publish the score 0 for it, so that no router chooses it by score.

    Also for complexities that it was never chosen for. What comes in of it is still counted.

    Returns:
        What instances are told, in order of version.

    Raises:
        UnknownModelError: nothing is known of it, or it is retired already.
    """
    with score_transaction(database) as (connection, now):
        known = _known_model(connection, model)
        if known.retired_at is not None:
            raise UnknownModelError(f"{model} is retired already, since {known.retired_at:%Y-%m-%d %H:%M} UTC")
        connection.execute(_PUT_RETIRED.text, {"model": model, "retired_at": now})
        current = {each.complexity: each for each in read_current_scores(connection) if each.model == model}
        reason = f"{model} was retired by an operator: no score of it counts"
        publications = [
            Publication(pair, manual_score(pair, LOWEST_SCORE, RETIRED, reason))
            for pair in (current.get(complexity) or _nothing(model, complexity) for complexity in COMPLEXITIES)
        ]
        changes = publish(connection, publications, rule=RETIRED, run_id=None, now=now)
        connection.execute(_TOUCH_EVIDENCE.text)
    return changes


def reinstate_model(database: Database, model: str) -> list[Change]:
    """Take `retire_model` back: the scores from before stand again, and the learner goes on from there at its next run.

    A pair that had none then has none again: instances use their own.

    Returns:
        What instances are told, in order of version.

    Raises:
        UnknownModelError: it is not retired.
    """
    with score_transaction(database) as (connection, now):
        row = connection.execute(_FORGET_RETIRED.text, {"model": model}).fetchone()
        if row is None:
            raise UnknownModelError(f"found no retired model {model}, expected one that `models list` shows as retired")
        retired = {each.score.complexity for each in _published(connection, model) if each.rule == RETIRED}
        before = _scores_before(connection, model, row[0])
        publications = []
        for current in read_current_scores(connection):
            if current.model == model and current.complexity in retired & before.keys():
                score = before[current.complexity]
                reason = f"{model} is no longer retired: {score.score}, as before; then: {score.reason}"
                publications.append(Publication(current, replace(score, kind=REINSTATED, reason=reason)))
        connection.execute(_FORGET_SCORES.text, {"model": model, "complexities": list(retired - before.keys())})
        changes = publish(connection, publications, rule=REINSTATED, run_id=None, now=now)
        connection.execute(_TOUCH_EVIDENCE.text)
    return changes


class _PublishedScore(NamedTuple):
    rule: str
    score: Score


def _rename_scores(
    connection: psycopg.Connection[Any],
    names: dict[str, str],
    known: _KnownModel,
    target: _KnownModel,
    merged: Sequence[str],
) -> list[Change]:
    """The scores that stand under the new name from now on, published again so that instances hear of them."""
    old, new = names["old"], names["new"]
    current = {each.pair: each for each in read_current_scores(connection)}
    inherited = {each.score.complexity: each for each in _published(connection, old)}
    publications = {
        each.score.complexity: _publication(
            current[each.score.pair], each.score, f"{old} was merged into {new}, whose score stays"
        )
        for each in _published(connection, new)
        if each.score.complexity in known.complexities
    }
    stays_retired = known.retired_at is not None and not target.complexities
    for complexity, each in inherited.items():
        if complexity not in publications and (stays_retired or known.retired_at is None):
            before = current[old, complexity]._replace(model=new)
            score = replace(each.score, model=new)
            publications[complexity] = _publication(before, score, f"{old} was renamed to {new}")
    connection.execute(_FORGET_SCORES.text, {"model": old, "complexities": list(inherited)})
    connection.execute(_FORGET_RETIRED.text, {"model": old})
    if stays_retired:
        connection.execute(_PUT_RETIRED.text, {"model": new, "retired_at": known.retired_at})
    for statement in _RENAME_LEARNED:
        statement.run(connection, names)
    connection.execute(_FORGET_SOURCES.text, {"model": new, "complexities": list(merged)})
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    rule = RETIRED if stays_retired or target.retired_at is not None else RENAMED
    return publish(connection, publications.values(), rule=rule, run_id=None, now=row[0])


def _publication(current: CurrentScore, score: Score, why: str) -> Publication:
    reason = f"{why}: {score.score}; then: {score.reason}"
    return Publication(current, replace(score, kind=RENAMED, reason=reason))


def _hold_ingest(connection: psycopg.Connection[Any]) -> None:
    """Wait until no ingest is under way and no evidence is being gathered; neither begins until the transaction ends."""
    for attempt in range(_SLICE_TRIES):
        try:
            with connection.transaction():
                connection.execute(_SLICE_WAIT)
                connection.execute(_LOCK_SLICE.text)
                connection.execute(_UNGATHERED.text)
            return
        except psycopg.errors.LockNotAvailable:
            if attempt + 1 == _SLICE_TRIES:
                raise
            time.sleep(_SLICE_PAUSE_SECONDS)


def _known_model(connection: psycopg.Connection[Any], model: str) -> _KnownModel:
    known = _pairs(connection, model)
    if not known.complexities:
        raise UnknownModelError(f"found no model {model}, expected one that `centralcloud models list` shows")
    return known


def _pairs(connection: psycopg.Connection[Any], model: str) -> _KnownModel:
    rows = connection.execute(_KNOWN_PAIRS.text, {"model": model}).fetchall()
    return _KnownModel([row[0] for row in rows], rows[0][1] if rows else None)


def _published(connection: psycopg.Connection[Any], model: str) -> list[_PublishedScore]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_PUBLISHED.text, {"model": model}).fetchall()
    return [_PublishedScore(row.pop("rule"), Score.from_columns(row)) for row in rows]


def _scores_before(connection: psycopg.Connection[Any], model: str, moment: datetime) -> dict[str, Score]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return {
            row["complexity"]: Score.from_columns(row)
            for row in cursor.execute(_SCORES_BEFORE.text, {"model": model, "moment": moment})
        }


def _nothing(model: str, complexity: str) -> CurrentScore:
    """A pair of which nothing is known."""
    unknown = dict.fromkeys(CurrentScore._fields)
    return CurrentScore(**{**unknown, "model": model, "complexity": complexity, "routed_count": 0, "outcome_count": 0})  # type: ignore[arg-type]
