"""Overrides of learned scores by an operator: pins, rollbacks, and freezing what is published."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

import psycopg

from centralcloud.administration.conflict import ChangedMeanwhileError
from centralcloud.contracts import CentralCloudError
from centralcloud.learning.current_scores import CurrentScore, UnknownPairError, read_current_scores
from centralcloud.learning.evidence import Pair
from centralcloud.learning.publication import (
    Change,
    Publication,
    manual_score,
    newest_version,
    publish,
    score_transaction,
    scores_after,
    scores_before,
    subject_of,
)
from centralcloud.learning.rule import Rule, Score
from centralcloud.learning.rule_scores import state_columns
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.operator_actions import Action, Operator, record_action
from centralcloud.store.score_lock import bump_score_revision
from centralcloud.store.slices import References, close_slice
from centralcloud.store.swallowed_rows import require_stored


class AnyState(Enum):
    """Stands for every state, where an operator has not looked before."""

    ANY = "any"


#: A state that an operator has seen: since when scores are frozen, None: they are not.
Seen: TypeAlias = datetime | AnyState | None


class Freeze(NamedTuple):
    """The state while no learned score is published. `who` is None where the log of operators' actions does not know."""

    frozen_at: datetime
    reason: str
    who: str | None


_UPSERT_PIN = Query(__package__, "upsert_pin")
_DELETE_PIN = Query(__package__, "delete_pin", row=dict)
_UPSERT_HOLD = Query(__package__, "upsert_hold")
_SCORES_AT_VERSION = Query(__package__, "scores_at_version", row=dict)
_RESET_RULE_SCORE = Query(__package__, "reset_rule_score")
_OVERRIDDEN_SINCE = Query(__package__, "overridden_since", row=int)
_NEWEST_VERSION = Query(__package__, "newest_score_version", row=int)
_FREEZE = Query(__package__, "freeze_learning")
_FREEZE_STATE = Query(__package__, "freeze_state", row=Freeze)
_UNFREEZE = Query(__package__, "unfreeze_learning", row=dict)
#: A score, 0 to 5, that the learner has moved by this much since an operator looked is another one. It moves by less all the
#: time: an operator's change must not wait for a moment without.
NOTABLE_MOVE = Decimal("0.25")
#: The subject of actions that concern all scores.
_ALL_SCORES = "scores"


class RetiredModelError(CentralCloudError):
    """The model is retired: no score of it counts."""


class UnknownVersionError(CentralCloudError):
    """There was never such a version."""


class SeenScores(NamedTuple):
    """All scores as an operator has seen them.

    Attributes:
        version: the newest one.
        exempt: a digest of the pairs that a rollback leaves alone: pinned and retired ones.
    """

    version: int
    exempt: str


class Rollback(NamedTuple):
    """The result of a rollback.

    Attributes:
        to_version: the scores are those of the time when this was the newest version.
        from_version: the newest version before it.
        undone: the changes that are published, in the order of their versions.
    """

    to_version: int
    from_version: int
    undone: list[Change]


def pin(
    database: Database,
    pair: Pair,
    score: Decimal,
    until: datetime | None,
    operator: Operator,
    *,
    expected_version: int | None = None,
) -> Change:
    """Set the score of a pair, until a time or until it is unpinned. The rules continue to learn and publish nothing for it.

    Args:
        expected_version: the version of the pair's score that the operator has seen, 0 for a pair without one; None: any.
            Versions that the learner has published since do not conflict, up to `NOTABLE_MOVE`.

    Raises:
        UnknownPairError: the pair was never chosen or scored.
        RetiredModelError: its model is retired.
        ChangedMeanwhileError: another operator has set its score since, or the learner has moved it far.
    """
    with score_transaction(database) as (connection, now):
        current = find_pair(connection, pair)
        if expected_version is not None and expected_version != (current.version or 0):
            if not 0 <= expected_version <= (current.version or 0):
                raise ChangedMeanwhileError(f"the score changed to version {current.version or 0}")
            _check_unset(connection, expected_version, pair)
            _check_moves(connection, [current], expected_version)
        if current.retired_at is not None:
            raise RetiredModelError(
                f"{pair[0]} is retired, since {current.retired_at:%Y-%m-%d %H:%M} UTC: expected a model that is not; "
                f"`centralcloud models retire --undo` reinstates it"
            )
        pin = {"model": pair[0], "complexity": pair[1], "score": score, "until": until}
        require_stored("score_pins", written=1, stored=_UPSERT_PIN.run(connection, pin))
        how_long = f"until {until:%Y-%m-%d %H:%M} UTC" if until else "until it is unpinned"
        pinned = manual_score(current, score, "pin", f"pinned at {score} by an operator, {how_long}")
        (change,) = publish(connection, [Publication(current, pinned)], rule="pin", run_id=None, now=now)
        record_action(
            connection,
            operator,
            Action.PIN,
            subject_of(pair),
            before={"score": change.old_score, "pin": current.pinned_score and float(current.pinned_score)},
            after={"score": change.new_score, "pin": float(score), "until": until and until.isoformat()},
            version=change.version,
        )
    return change


def unpin(database: Database, pair: Pair, operator: Operator, *, expected_version: int | None = None) -> None:
    """Remove a pin: the next run of the learner publishes the score of its rule.

    Args:
        expected_version: the version of the pair's score that the operator has seen, 0 for a pair without one; None: any.

    Raises:
        UnknownPairError: the pair is not pinned.
        ChangedMeanwhileError: its score is at another version than the expected one.
    """
    with score_transaction(database) as (connection, _):
        if expected_version is not None:
            _check_version(find_pair(connection, pair), expected_version)
        before = _DELETE_PIN.maybe(connection, {"model": pair[0], "complexity": pair[1]})
        if before is None:
            raise UnknownPairError(f"found no pin of {pair[0]} ({pair[1]})")
        bump_score_revision(connection)
        record_action(connection, operator, Action.UNPIN, subject_of(pair), before=before)


def roll_back(
    database: Database,
    rules: Sequence[Rule],
    to_version: int,
    references: References,
    operator: Operator,
    *,
    expected: SeenScores | None = None,
) -> Rollback:
    """Publish the scores of the time when `to_version` was the newest: as new versions, so that every instance follows.

    A pair that had no score then gets the one that its instances reported at the time. Every rule continues from there:
    evidence up to now does not count against the restored scores. Pins and retirements stay.

    Args:
        expected: the scores that the operator has seen; None: any. Scores of the learner since are rolled back, too,
            up to `NOTABLE_MOVE` for each pair.

    Raises:
        UnknownVersionError: there was never such a version.
        ChangedMeanwhileError: another operator has set a score, pinned, unpinned or retired a pair since, or the learner has
            moved a score far.
    """
    through_slice = close_slice(database, references)
    with score_transaction(database) as (connection, now):
        before = read_scores_seen(connection)
        publications = _restored(connection, to_version)
        if expected is not None and expected != before:
            if not 0 <= expected.version <= before.version:
                raise ChangedMeanwhileError(f"scores changed up to version {before.version}")
            _check_unset(connection, expected.version)
            if expected.exempt != before.exempt:
                raise ChangedMeanwhileError("pins or retirements changed")
            _check_moves(connection, [each.current for each in publications], expected.version)
        hold_scores(connection, rules, [each.score for each in publications], through_slice)
        undone = publish(connection, publications, rule="rollback", run_id=None, now=now) if publications else []
        if undone:
            record_action(
                connection,
                operator,
                Action.ROLLBACK,
                _ALL_SCORES,
                before=scores_before(undone),
                after={"to_version": to_version, **scores_after(undone)},
                version=newest_version(undone),
            )
    return Rollback(to_version, before.version, undone)


def hold_scores(
    connection: psycopg.Connection[Any], rules: Sequence[Rule], scores: Sequence[Score], through_slice: int
) -> None:
    """Let every rule continue from scores that an operator sets: evidence up to a slice does not count against them."""
    for score in scores:
        pair = {"model": score.model, "complexity": score.complexity}
        stored = _UPSERT_HOLD.run(connection, {**pair, "after_slice": through_slice})
        require_stored("score_holds", written=1, stored=stored)
        for rule in rules:
            state = rule.reset(None, score.score, through_slice)
            _RESET_RULE_SCORE.run(connection, {**pair, "rule": rule.name, **state_columns(state)})


def preview_rollback(connection: psycopg.Connection[Any], to_version: int) -> list[Change]:
    """Return the changes that `roll_back` would publish now; `version` of each is None.

    Raises:
        UnknownVersionError: there was never such a version.
    """
    return [Change.of(each.current.old_score, each.score) for each in _restored(connection, to_version)]


def read_newest_version(connection: psycopg.Connection[Any]) -> int:
    """Return the newest version of all scores; 0: none was published yet."""
    return _NEWEST_VERSION.one(connection)


def read_scores_seen(connection: psycopg.Connection[Any]) -> SeenScores:
    """Return all scores as they stand, for `roll_back`."""
    current = read_current_scores(connection)
    exempt = sorted(each.pair for each in current if _is_exempt(each))
    digest = hashlib.sha256(repr(exempt).encode()).hexdigest()[:16]
    return SeenScores(read_newest_version(connection), digest)


def freeze(database: Database, reason: str, operator: Operator, *, expected: Seen = AnyState.ANY) -> None:
    """Publish no learned scores from now on; the rules continue to learn. Freezing again replaces the reason.

    Args:
        expected: since when scores are frozen as the operator has seen it, None: they are not.

    Raises:
        ChangedMeanwhileError: it is not as expected.
    """
    with score_transaction(database) as (connection, _):
        _check_freeze(connection, expected)
        row = _FREEZE.maybe(connection, {"reason": reason})
        if row is None:
            raise CentralCloudError(
                "learning_control: found no row, expected one; `centralcloud verify --repair` makes it"
            )
        (reason_before,) = row
        record_action(
            connection,
            replace(operator, reason=reason),
            Action.FREEZE,
            _ALL_SCORES,
            before=None if reason_before is None else {"reason": reason_before},
            after={"reason": reason},
        )


def read_freeze(connection: psycopg.Connection[Any]) -> Freeze | None:
    """Return since when, why and by whom learned scores are frozen; None when they are not."""
    return _FREEZE_STATE.maybe(connection)


def unfreeze(database: Database, operator: Operator, *, expected: Seen = AnyState.ANY) -> bool:
    """Publish again from the next run on. Return False if nothing was frozen.

    Args:
        expected: since when scores are frozen as the operator has seen it, None: they are not.

    Raises:
        ChangedMeanwhileError: it is not as expected.
    """
    with score_transaction(database) as (connection, _):
        _check_freeze(connection, expected)
        before = _UNFREEZE.maybe(connection)
        if before is not None:
            record_action(connection, operator, Action.UNFREEZE, _ALL_SCORES, before=before)
    return before is not None


def find_pair(connection: psycopg.Connection[Any], pair: Pair) -> CurrentScore:
    """Return the published score of a pair, with what an operator has set for it.

    Raises:
        UnknownPairError: the pair was never chosen or scored.
    """
    current = read_current_scores(connection)
    for each in current:
        if each.pair == pair:
            return each
    known = ", ".join(sorted({each.complexity for each in current if each.model == pair[0]}))
    if known:
        raise UnknownPairError(f"found no {pair[0]} for {pair[1]} tasks, expected one of its complexities: {known}")
    models = ", ".join(sorted({each.model for each in current})) or "none yet"
    raise UnknownPairError(f"found no model {pair[0]}, expected one that was ever chosen: {models}")


def _check_version(current: CurrentScore, expected_version: int | None) -> None:
    version = current.version or 0
    if expected_version is not None and version != expected_version:
        raise ChangedMeanwhileError(f"the score changed to version {version}")


def _check_unset(connection: psycopg.Connection[Any], version: int, pair: Pair | None = None) -> None:
    """Refuse if an operator has set a score after a version."""
    model, complexity = pair or (None, None)
    newest = _OVERRIDDEN_SINCE.one(connection, {"version": version, "model": model, "complexity": complexity})
    if newest:
        raise ChangedMeanwhileError(f"an operator has set {'the' if pair else 'a'} score in version {newest}")


def _check_moves(connection: psycopg.Connection[Any], current: Sequence[CurrentScore], version: int) -> None:
    """Refuse if a score is far from that of a version."""
    rows = _SCORES_AT_VERSION.all(connection, {"version": version})
    then = {(row["model"], row["complexity"]): row["score"] for row in rows}
    for each in current:
        seen = then.get(each.pair)
        if seen is None or abs(each.old_score - seen) >= NOTABLE_MOVE:
            moved = "" if seen is None else f" from {seen:.2f} to {each.old_score:.2f}"
            raise ChangedMeanwhileError(f"the score of {each.model} ({each.complexity}) moved{moved}")


def _is_exempt(current: CurrentScore) -> bool:
    return current.pinned_score is not None or current.retired_at is not None


def _check_freeze(connection: psycopg.Connection[Any], expected: Seen) -> None:
    if isinstance(expected, AnyState):
        return
    found = read_freeze(connection)
    if (found and found.frozen_at) != expected:
        raise ChangedMeanwhileError("scores were frozen" if found else "scores were published again")


def _restored(connection: psycopg.Connection[Any], to_version: int) -> list[Publication]:
    """Return the scores that differ from those of a version, as they were then; pinned and retired pairs are left out."""
    restored, then = [], read_scores_at(connection, to_version)
    for current in read_current_scores(connection):
        if current.version is None or current.version <= to_version:
            continue
        if _is_exempt(current):
            continue
        if (old := then.get(current.pair)) is None or (
            old.score == current.score and old.estimate.mean == current.mean
        ):
            continue
        reason = f"rolled back to version {to_version}: {current.score} -> {old.score}; then: {old.reason}"
        restored.append(Publication(current, replace(old, kind="rollback", reason=reason)))
    return restored


def read_scores_at(connection: psycopg.Connection[Any], version: int) -> dict[Pair, Score]:
    """Return the scores of every pair that has a history, as of the time when `version` was the newest.

    Raises:
        UnknownVersionError: there was never such a version.
    """
    rows = _SCORES_AT_VERSION.all(connection, {"version": version})
    known = [row.pop("is_version") for row in rows]
    if not any(known):
        raise UnknownVersionError(f"found no version {version}, expected one that `centralcloud scores history` shows")
    scores = [Score.from_columns(row) for row in rows]
    return {score.pair: score for score in scores}
