"""Models: rename one, and retire one from learning and from the choice of every router."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import COMPLEXITIES, CentralCloudError
from centralcloud.learning.current_scores import CurrentScore, read_current_scores
from centralcloud.learning.evidence import Pair
from centralcloud.learning.publication import (
    Change,
    Publication,
    manual_score,
    newest_version,
    publish,
    read_clock,
    score_transaction,
    scores_after,
    scores_before,
)
from centralcloud.learning.rule import LOWEST_SCORE, Score
from centralcloud.learning.version_tracking import LOCK_VERSIONS
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.operator_actions import Action, Operator, record_action
from centralcloud.store.score_lock import lock_scores


class _KnownPair(NamedTuple):
    complexity: str
    retired_at: datetime | None


_LIST_MODELS = Query(__package__, "list_models", row=dict)
_KNOWN_PAIRS = Query(__package__, "known_pairs", row=_KnownPair)
_PUBLISHED_SCORES = Query(__package__, "published_scores", row=dict)
_SCORES_BEFORE = Query(__package__, "scores_before", row=dict)
_DELETE_SCORES = Query(__package__, "delete_scores")
_DELETE_SCORE_SOURCES = Query(__package__, "delete_score_sources")
_INSERT_RETIRED_MODEL = Query(__package__, "insert_retired_model")
_DELETE_RETIRED_MODEL = Query(__package__, "delete_retired_model")
_DELETE_PINS = Query(__package__, "delete_pins")
BUMP_EVIDENCE_GENERATION = Query(__package__, "bump_evidence_generation")
LOCK_MAINTENANCE = Query(__package__, "lock_maintenance")
_LOCK_SLICE = Query("centralcloud.store", "lock_slice_for_closing")
_UNGATHERED_SLICES = Query("centralcloud.store", "ungathered_slices")
OPEN_SLICE_START = Query(__package__, "open_slice_start", row=int)
REPAIR_RESPONSE_TIMES = Query(__package__, "repair_response_times")
_RENAME_RECORDS = Query(__package__, "rename_records")
#: Evidence, and that by task type.
RENAME_EVIDENCE = [Query(__package__, f"rename_{name}") for name in ("evidence", "task_evidence")]
_RENAME_METRICS = Query(__package__, "rename_metrics")
_STORED: Final = (
    "roll_ups",
    "usage",
    "escalations",
    "dropped_metrics",
    "dropped_evidence",
    "dropped_task_evidence",
    "feedback",
)
#: Written by maintenance alone, as are evidence and records that are merged or dropped.
RENAME_STORED = [Query(__package__, f"rename_{name}") for name in _STORED]
_RENAME_LEARNED = [
    Query(__package__, f"rename_{name}") for name in ("rule_scores", "pins", "holds", "model_versions", "model_changes")
]
#: Ingest queues up behind a waiting lock on the slice: wait this long for it, then let ingest pass for a moment.
_SLICE_WAIT: Final = "SET LOCAL lock_timeout = '2s'"
_SLICE_PAUSE_SECONDS: Final = 1.0
_SLICE_TRIES: Final = 60

#: These stand for the name of a rule, in messages and in the history: an operator has set the score.
RENAMED: Final = "renamed"
RETIRED: Final = "retired"
REINSTATED: Final = "reinstated"


class UnknownModelError(CentralCloudError):
    """The model does not exist, or is not in the expected state."""


class Renaming(NamedTuple):
    """The result of renaming a model.

    Attributes:
        records: how many ingested events with the old name are still kept.
        complexities: of its pairs; `merged` are those that the new name had before.
        changes: the changes that are published, in the order of their versions.
    """

    records: int
    complexities: list[str]
    merged: list[str]
    changes: list[Change]


class _KnownModel(NamedTuple):
    complexities: list[str]
    retired_at: datetime | None


def list_models(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Return one row a model, by name: columns of ``list_models.sql``. `success_rate` is 0 to 1, None without outcomes."""
    return _LIST_MODELS.all(connection)


def rename_model(database: Database, old: str, new: str, operator: Operator) -> Renaming:
    """Give a model and all its data another name. An existing model of that name absorbs it.

    Counters and evidence add up, pair by pair. Where both names have a score, a pin or a hold, that of the new name stays.
    A pin that only the old name has moves and is applied, unless the old model is retired and the new one is not. The
    history keeps the old name. Events that instances still report under the old name create a new model of that name.

    One transaction. Ingest runs on meanwhile, and waits only at the end, while the events that have arrived since are
    renamed. The lock that it waits for guarantees that none is left behind.

    Raises:
        UnknownModelError: nothing is known of `old`.
        psycopg.errors.LockNotAvailable: an ingest transaction hung for minutes; nothing has changed.
    """
    names = {"old": old, "new": new}
    with database.transaction(limit_seconds=None) as connection:
        connection.execute("SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        LOCK_MAINTENANCE.run(connection)
        _known_model(connection, old)
        # Events that ingest has in flight now get ids above this one.
        open_slice_start = OPEN_SLICE_START.maybe(connection) or 0
        records = _RENAME_RECORDS.run(connection, {**names, "after_record_id": 0})
        stored = {"old": [old], "new": new}
        for statement in (*RENAME_STORED, *RENAME_EVIDENCE):
            statement.run(connection, stored)
        lock_scores(connection)
        hold_ingest(connection)
        # From here on nothing is ingested, no slice is closed, and no evidence is gathered.
        records += _RENAME_RECORDS.run(connection, {**names, "after_record_id": open_slice_start})
        for statement in RENAME_EVIDENCE:
            statement.run(connection, stored)
        known, target = _pairs(connection, old), _pairs(connection, new)
        merged = [complexity for complexity in known.complexities if complexity in target.complexities]
        LOCK_VERSIONS.run(connection)
        _RENAME_METRICS.run(connection, names)
        for complexity in merged:
            REPAIR_RESPONSE_TIMES.run(connection, {"model_name": new, "complexity_level": complexity})
        changes = _rename_scores(connection, names, known, target, merged)
        BUMP_EVIDENCE_GENERATION.run(connection)
        record_action(
            connection,
            operator,
            Action.RENAME_MODEL,
            old,
            before={"model": old, "complexities": known.complexities},
            after={"model": new, "merged": merged, "records": records, **scores_after(changes)},
            version=newest_version(changes),
        )
    return Renaming(records, known.complexities, merged, changes)


def retire_model(database: Database, model: str, operator: Operator) -> list[Change]:
    """Exclude a model from learning from now on, and publish the score 0 for it, so that no router chooses it by score.

    This includes complexities that it was never chosen for. Its events are still counted.

    Returns:
        The changes that are published, in the order of their versions.

    Raises:
        UnknownModelError: nothing is known of it, or it is retired already.
    """
    with score_transaction(database) as (connection, now):
        known = _known_model(connection, model)
        if known.retired_at is not None:
            raise UnknownModelError(f"{model} is retired already, since {known.retired_at:%Y-%m-%d %H:%M} UTC")
        _INSERT_RETIRED_MODEL.run(connection, {"model": model, "retired_at": now})
        current = {each.complexity: each for each in read_current_scores(connection) if each.model == model}
        reason = f"{model} was retired by an operator: no score of it counts"
        publications = [
            Publication(pair, manual_score(pair, LOWEST_SCORE, RETIRED, reason))
            for pair in (current.get(complexity) or _unknown_pair(model, complexity) for complexity in COMPLEXITIES)
        ]
        changes = publish(connection, publications, rule=RETIRED, run_id=None, now=now)
        BUMP_EVIDENCE_GENERATION.run(connection)
        _record_changes(connection, operator, Action.RETIRE_MODEL, model, changes)
    return changes


def reinstate_model(database: Database, model: str, operator: Operator) -> list[Change]:
    """Undo `retire_model`: publish the earlier scores again; the learner continues from there at its next run.

    A pair that had no score then has none again: instances use their own. A pinned pair gets its pin.

    Returns:
        The changes that are published, in the order of their versions.

    Raises:
        UnknownModelError: it is not retired.
    """
    with score_transaction(database) as (connection, now):
        row = _DELETE_RETIRED_MODEL.maybe(connection, {"model": model})
        if row is None:
            raise UnknownModelError(f"found no retired model {model}, expected one that `models list` shows as retired")
        retired = {each.score.complexity for each in _published(connection, model) if each.rule == RETIRED}
        before = _scores_before(connection, model, row[0])
        publications = []
        for current in read_current_scores(connection):
            if current.model != model or current.complexity not in retired:
                continue
            if current.pinned_score is not None:
                reason = f"{model} is no longer retired: pinned at {current.pinned_score} by an operator"
                score = manual_score(current, current.pinned_score, REINSTATED, reason)
            elif current.complexity in before:
                earlier = before[current.complexity]
                reason = f"{model} is no longer retired: {earlier.score}, as before; then: {earlier.reason}"
                score = replace(earlier, kind=REINSTATED, reason=reason)
            else:
                continue
            publications.append(Publication(current, score))
        without_score = retired - {each.score.complexity for each in publications}
        _DELETE_SCORES.run(connection, {"model": model, "complexities": list(without_score)})
        changes = publish(connection, publications, rule=REINSTATED, run_id=None, now=now)
        BUMP_EVIDENCE_GENERATION.run(connection)
        _record_changes(connection, operator, Action.REINSTATE_MODEL, model, changes)
    return changes


class _PublishedScore(NamedTuple):
    rule: str
    score: Score


def _record_changes(
    connection: psycopg.Connection[Any], operator: Operator, action: Action, model: str, changes: Sequence[Change]
) -> None:
    record_action(
        connection,
        operator,
        action,
        model,
        before=scores_before(changes),
        after=scores_after(changes),
        version=newest_version(changes),
    )


def _rename_scores(
    connection: psycopg.Connection[Any],
    names: dict[str, str],
    known: _KnownModel,
    target: _KnownModel,
    merged: Sequence[str],
) -> list[Change]:
    """Publish the scores of the new name again, so that every instance has them."""
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
    _DELETE_SCORES.run(connection, {"model": old, "complexities": list(inherited)})
    _DELETE_RETIRED_MODEL.run(connection, {"model": old})
    if stays_retired:
        _INSERT_RETIRED_MODEL.run(connection, {"model": new, "retired_at": known.retired_at})
    if known.retired_at is not None and not stays_retired:
        _DELETE_PINS.run(connection, {"model": old})
    for statement in _RENAME_LEARNED:
        statement.run(connection, names)
    _DELETE_SCORE_SOURCES.run(connection, {"model": new, "complexities": list(merged)})
    now = read_clock(connection)
    retired = known.retired_at is not None or target.retired_at is not None
    pins = {} if retired else _moved_pins(current, names, publications)
    scores = [each for complexity, each in publications.items() if complexity not in pins]
    rule = RETIRED if stays_retired or target.retired_at is not None else RENAMED
    return [
        *publish(connection, scores, rule=rule, run_id=None, now=now),
        *publish(connection, pins.values(), rule="pin", run_id=None, now=now),
    ]


def _moved_pins(
    current: Mapping[Pair, CurrentScore], names: dict[str, str], publications: Mapping[str, Publication]
) -> dict[str, Publication]:
    """Return a publication for each pin that the new name takes over and that its score would not follow."""
    old, new = names["old"], names["new"]
    moved = {}
    for (model, complexity), each in current.items():
        target = current.get((new, complexity))
        if model != old or each.pinned_score is None or (target is not None and target.pinned_score is not None):
            continue
        before = target or each._replace(model=new)
        publication = publications.get(complexity)
        if publication is None or publication.score.score != each.pinned_score:
            reason = f"{old} was merged into {new}, with its pin: pinned at {each.pinned_score} by an operator"
            moved[complexity] = Publication(before, manual_score(before, each.pinned_score, "pin", reason))
    return moved


def _publication(current: CurrentScore, score: Score, why: str) -> Publication:
    reason = f"{why}: {score.score}; then: {score.reason}"
    return Publication(current, replace(score, kind=RENAMED, reason=reason))


def hold_ingest(connection: psycopg.Connection[Any]) -> None:
    """Wait until no ingest and no gathering of evidence is in flight; none starts until the transaction ends."""
    for attempt in range(_SLICE_TRIES):
        try:
            with connection.transaction():
                connection.execute(_SLICE_WAIT)
                _LOCK_SLICE.run(connection)
                _UNGATHERED_SLICES.run(connection)
            return
        except psycopg.errors.LockNotAvailable:
            if attempt + 1 == _SLICE_TRIES:
                raise
            time.sleep(_SLICE_PAUSE_SECONDS)


def known_complexities(connection: psycopg.Connection[Any], model: str) -> list[str]:
    """Return the complexities of a model that was chosen or scored; raise UnknownModelError for another one."""
    return _known_model(connection, model).complexities


def _known_model(connection: psycopg.Connection[Any], model: str) -> _KnownModel:
    known = _pairs(connection, model)
    if not known.complexities:
        raise UnknownModelError(f"found no model {model}, expected one that `centralcloud models list` shows")
    return known


def _pairs(connection: psycopg.Connection[Any], model: str) -> _KnownModel:
    pairs = _KNOWN_PAIRS.all(connection, {"model": model})
    return _KnownModel([pair.complexity for pair in pairs], pairs[0].retired_at if pairs else None)


def _published(connection: psycopg.Connection[Any], model: str) -> list[_PublishedScore]:
    return [
        _PublishedScore(row.pop("rule"), Score.from_columns(row))
        for row in _PUBLISHED_SCORES.all(connection, {"model": model})
    ]


def _scores_before(connection: psycopg.Connection[Any], model: str, moment: datetime) -> dict[str, Score]:
    rows = _SCORES_BEFORE.all(connection, {"model": model, "moment": moment})
    return {row["complexity"]: Score.from_columns(row) for row in rows}


def _unknown_pair(model: str, complexity: str) -> CurrentScore:
    """Return a pair that has no row anywhere."""
    unknown = dict.fromkeys(CurrentScore._fields)
    return CurrentScore(**{**unknown, "model": model, "complexity": complexity, "routed_count": 0, "outcome_count": 0})  # type: ignore[arg-type]
