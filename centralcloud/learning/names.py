"""Names of models: giving one another, and taking one out of learning and out of every router's choice."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import dict_row

from centralcloud.contracts import COMPLEXITIES, CentralCloudError
from centralcloud.learning.overrides import score_by_hand, writing_scores
from centralcloud.learning.publication import Change, Publication, Standing, publish, read_standing
from centralcloud.learning.rule import LOWEST_SCORE, Score
from centralcloud.runtime.database import Database
from centralcloud.store import queries

_KNOWN_PAIRS = queries.load("known_pairs")
_PUBLISHED = queries.load("published_scores")
_SCORES_BEFORE = queries.load("scores_before")
_FORGET_SCORES = queries.load("forget_scores")
_FORGET_SOURCES = queries.load("forget_score_sources")
_PUT_RETIRED = queries.load("put_retired_model")
_FORGET_RETIRED = queries.load("forget_retired_model")
_TOUCH_EVIDENCE = queries.load("touch_evidence")
_LOCK_MAINTENANCE = queries.load("lock_maintenance")
_LOCK_SCORES = queries.load("lock_scores")
_LOCK_SLICE = queries.load("lock_slice_for_closing")
_UNGATHERED = queries.load("ungathered_slices")
_OPEN_SLICE_START = queries.load("open_slice_start")
_REPAIR_RESPONSE_TIMES = queries.load("repair_response_times")
_RENAME_RECORDS = queries.load("rename_records")
_RENAME_EVIDENCE = queries.load("rename_evidence")
_RENAME_METRICS = queries.load("rename_metrics")
#: What maintenance alone writes beside evidence and records.
_RENAME_STORED = [queries.load(f"rename_{name}") for name in ("roll_ups", "dropped_metrics", "dropped_evidence")]
_RENAME_LEARNED = [queries.load(f"rename_{name}") for name in ("rule_scores", "pins", "holds")]
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


class _Known(NamedTuple):
    complexities: list[str]
    retired_at: datetime | None


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
        connection.execute(_LOCK_MAINTENANCE)
        _known_model(connection, old)
        # Whatever ingest has in hand now is newer than this.
        (in_hand,) = connection.execute(_OPEN_SLICE_START).fetchone() or (0,)
        records = connection.execute(_RENAME_RECORDS, {**names, "after_record_id": 0}).rowcount
        for statement in (*_RENAME_STORED, _RENAME_EVIDENCE):
            connection.execute(statement, names)
        connection.execute(_LOCK_SCORES)
        _hold_ingest(connection)
        # From here on nobody takes events in, closes a slice, or gathers evidence.
        records += connection.execute(_RENAME_RECORDS, {**names, "after_record_id": in_hand}).rowcount
        connection.execute(_RENAME_EVIDENCE, names)
        known, target = _pairs(connection, old), _pairs(connection, new)
        merged = [complexity for complexity in known.complexities if complexity in target.complexities]
        connection.execute(_RENAME_METRICS, names)
        for complexity in merged:
            connection.execute(_REPAIR_RESPONSE_TIMES, {"model_name": new, "complexity_level": complexity})
        changes = _rename_scores(connection, names, known, target, merged)
        connection.execute(_TOUCH_EVIDENCE)
    return Renaming(records, known.complexities, merged, changes)


def retire_model(database: Database, model: str) -> list[Change]:
    """Leave a model out of learning from now on, and publish the score 0 for it, so that no router chooses it by score.

    Also for complexities that it was never chosen for. What comes in of it is still counted.

    Returns:
        What instances are told, in order of version.

    Raises:
        UnknownModelError: nothing is known of it, or it is retired already.
    """
    with writing_scores(database) as (connection, now):
        known = _known_model(connection, model)
        if known.retired_at is not None:
            raise UnknownModelError(f"{model} is retired already, since {known.retired_at:%Y-%m-%d %H:%M} UTC")
        connection.execute(_PUT_RETIRED, {"model": model, "retired_at": now})
        standing = {each.complexity: each for each in read_standing(connection) if each.model == model}
        reason = f"{model} was retired by an operator: no score of it counts"
        publications = [
            Publication(pair, score_by_hand(pair, LOWEST_SCORE, RETIRED, reason), {})
            for pair in (standing.get(complexity) or _nothing(model, complexity) for complexity in COMPLEXITIES)
        ]
        changes = publish(connection, publications, rule=RETIRED, run_id=None, now=now)
        connection.execute(_TOUCH_EVIDENCE)
    return changes


def reinstate_model(database: Database, model: str) -> list[Change]:
    """Take `retire_model` back: the scores from before stand again, and the learner goes on from there at its next run.

    A pair that had none then has none again: instances use their own.

    Returns:
        What instances are told, in order of version.

    Raises:
        UnknownModelError: it is not retired.
    """
    with writing_scores(database) as (connection, now):
        row = connection.execute(_FORGET_RETIRED, {"model": model}).fetchone()
        if row is None:
            raise UnknownModelError(f"found no retired model {model}, expected one that `models list` shows as retired")
        retired = {each.score.complexity for each in _published(connection, model) if each.rule == RETIRED}
        before = _scores_before(connection, model, row[0])
        publications = []
        for standing in read_standing(connection):
            if standing.model == model and standing.complexity in retired & before.keys():
                score = before[standing.complexity]
                reason = f"{model} is no longer retired: {score.score}, as before; then: {score.reason}"
                publications.append(Publication(standing, replace(score, kind=REINSTATED, reason=reason), {}))
        connection.execute(_FORGET_SCORES, {"model": model, "complexities": list(retired - before.keys())})
        changes = publish(connection, publications, rule=REINSTATED, run_id=None, now=now)
        connection.execute(_TOUCH_EVIDENCE)
    return changes


class _PublishedScore(NamedTuple):
    rule: str
    score: Score


def _rename_scores(
    connection: psycopg.Connection[Any], names: dict[str, str], known: _Known, target: _Known, merged: Sequence[str]
) -> list[Change]:
    """The scores that stand under the new name from now on, published again so that instances hear of them."""
    old, new = names["old"], names["new"]
    standing = {each.pair: each for each in read_standing(connection)}
    inherited = {each.score.complexity: each for each in _published(connection, old)}
    publications = {
        each.score.complexity: _publication(
            standing[each.score.pair], each.score, f"{old} was merged into {new}, whose score stays"
        )
        for each in _published(connection, new)
        if each.score.complexity in known.complexities
    }
    stays_retired = known.retired_at is not None and not target.complexities
    for complexity, each in inherited.items():
        if complexity not in publications and (stays_retired or known.retired_at is None):
            before = standing[old, complexity]._replace(model=new)
            score = replace(each.score, model=new)
            publications[complexity] = _publication(before, score, f"{old} was renamed to {new}")
    connection.execute(_FORGET_SCORES, {"model": old, "complexities": list(inherited)})
    connection.execute(_FORGET_RETIRED, {"model": old})
    if stays_retired:
        connection.execute(_PUT_RETIRED, {"model": new, "retired_at": known.retired_at})
    for statement in _RENAME_LEARNED:
        connection.execute(statement, names)
    connection.execute(_FORGET_SOURCES, {"model": new, "complexities": list(merged)})
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    rule = RETIRED if stays_retired or target.retired_at is not None else RENAMED
    return publish(connection, publications.values(), rule=rule, run_id=None, now=row[0])


def _publication(standing: Standing, score: Score, why: str) -> Publication:
    reason = f"{why}: {score.score}; then: {score.reason}"
    return Publication(standing, replace(score, kind=RENAMED, reason=reason), {})


def _hold_ingest(connection: psycopg.Connection[Any]) -> None:
    """Wait until no ingest is under way and no evidence is being gathered; neither begins until the transaction ends."""
    for attempt in range(_SLICE_TRIES):
        try:
            with connection.transaction():
                connection.execute(_SLICE_WAIT)
                connection.execute(_LOCK_SLICE)
                connection.execute(_UNGATHERED)
            return
        except psycopg.errors.LockNotAvailable:
            if attempt + 1 == _SLICE_TRIES:
                raise
            time.sleep(_SLICE_PAUSE_SECONDS)


def _known_model(connection: psycopg.Connection[Any], model: str) -> _Known:
    known = _pairs(connection, model)
    if not known.complexities:
        raise UnknownModelError(f"found no model {model}, expected one that `centralcloud models list` shows")
    return known


def _pairs(connection: psycopg.Connection[Any], model: str) -> _Known:
    rows = connection.execute(_KNOWN_PAIRS, {"model": model}).fetchall()
    return _Known([row[0] for row in rows], rows[0][1] if rows else None)


def _published(connection: psycopg.Connection[Any], model: str) -> list[_PublishedScore]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_PUBLISHED, {"model": model}).fetchall()
    return [_PublishedScore(row.pop("rule"), Score(**row)) for row in rows]


def _scores_before(connection: psycopg.Connection[Any], model: str, moment: datetime) -> dict[str, Score]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return {
            row["complexity"]: Score(**row)
            for row in cursor.execute(_SCORES_BEFORE, {"model": model, "moment": moment})
        }


def _nothing(model: str, complexity: str) -> Standing:
    """A pair of which nothing is known."""
    unknown = dict.fromkeys(Standing._fields)
    return Standing(**{**unknown, "model": model, "complexity": complexity, "routed_count": 0, "outcome_count": 0})  # type: ignore[arg-type]
