"""What an operator says about scores: pinning them, taking them back, standing still."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

from centralcloud.contracts import CentralCloudError
from centralcloud.learning.current_scores import CurrentScore, UnknownPairError, read_current_scores
from centralcloud.learning.evidence import Pair
from centralcloud.learning.publication import Change, Publication, manual_score, publish, score_transaction
from centralcloud.learning.rule import Rule, Score
from centralcloud.learning.rule_scores import state_columns
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.slices import References, close_slice

_TOUCH = Query("centralcloud.store", "bump_score_revision")
_PUT_PIN = Query(__package__, "upsert_pin")
_FORGET_PIN = Query(__package__, "delete_pin")
_PUT_HOLD = Query(__package__, "upsert_hold")
_SCORES_AT = Query(__package__, "scores_at_version")
_RESTART = Query(__package__, "reset_rule_score")
_FREEZE = Query(__package__, "freeze_learning")
_UNFREEZE = Query(__package__, "unfreeze_learning")


class UnknownVersionError(CentralCloudError):
    """No such version was ever published."""


class Rollback(NamedTuple):
    """What a rollback did.

    Attributes:
        to_version: the scores are those that stood when this was the newest version.
        undone: what instances are told, in order of version.
    """

    to_version: int
    undone: list[Change]


def pin(database: Database, pair: Pair, score: Decimal, until: datetime | None) -> Change:
    """Set the score of a pair, until a time or until it is unpinned. Learning goes on, and is not published for the pair.

    Raises:
        UnknownPairError: nobody has ever chosen or scored it.
    """
    with score_transaction(database) as (connection, now):
        current = _find(read_current_scores(connection), pair)
        values = {"model": pair[0], "complexity": pair[1], "score": score, "until": until}
        connection.execute(_PUT_PIN.text, values)
        how_long = f"until {until:%Y-%m-%d %H:%M} UTC" if until else "until it is unpinned"
        pinned = manual_score(current, score, "pin", f"pinned at {score} by an operator, {how_long}")
        return publish(connection, [Publication(current, pinned)], rule="pin", run_id=None, now=now)[0]


def unpin(database: Database, pair: Pair) -> None:
    """Take a pin back: the next run of the learner publishes what its rule thinks.

    Raises:
        UnknownPairError: the pair is not pinned.
    """
    with score_transaction(database) as (connection, _):
        if not connection.execute(_FORGET_PIN.text, {"model": pair[0], "complexity": pair[1]}).rowcount:
            raise UnknownPairError(f"found no pin of {pair[0]} ({pair[1]})")
        connection.execute(_TOUCH.text)


def roll_back(database: Database, rules: Sequence[Rule], to_version: int, references: References) -> Rollback:
    """Make the scores what they were when `to_version` was the newest: as new versions, so that every instance follows.

    A pair that had no score then gets what its instances reported at the time. Every rule goes on from there: what came in
    up to now is not held against the restored scores again. Pins and retirements stay.

    Raises:
        UnknownVersionError: no such version was ever published.
    """
    through_slice = close_slice(database, references)
    with score_transaction(database) as (connection, now):
        publications, then = [], _scores_at(connection, to_version)
        for current in read_current_scores(connection):
            if current.version is None or current.version <= to_version:
                continue
            if current.pinned_score is not None or current.retired_at is not None:
                continue
            if (old := then.get(current.pair)) is None or (
                old.score == current.score and old.estimate.mean == current.mean
            ):
                continue
            reason = f"rolled back to version {to_version}: {current.score} -> {old.score}; then: {old.reason}"
            publications.append(Publication(current, replace(old, kind="rollback", reason=reason)))
        for each in publications:
            pair = {"model": each.score.model, "complexity": each.score.complexity}
            connection.execute(_PUT_HOLD.text, {**pair, "after_slice": through_slice})
            for rule in rules:
                state = rule.reset(None, each.score.score, through_slice)
                connection.execute(_RESTART.text, {**pair, "rule": rule.name, **state_columns(state)})
        undone = publish(connection, publications, rule="rollback", run_id=None, now=now) if publications else []
    return Rollback(to_version, undone)


def freeze(database: Database, reason: str) -> None:
    """Publish nothing from now on; the rules go on in the shadow. Freezing again replaces the reason."""
    with score_transaction(database) as (connection, _):
        connection.execute(_FREEZE.text, {"reason": reason})


def unfreeze(database: Database) -> bool:
    """Publish again from the next run on; False when nothing was frozen."""
    with score_transaction(database) as (connection, _):
        return connection.execute(_UNFREEZE.text).rowcount > 0


def _find(current: list[CurrentScore], pair: Pair) -> CurrentScore:
    for each in current:
        if each.pair == pair:
            return each
    known = ", ".join(sorted({each.complexity for each in current if each.model == pair[0]}))
    if known:
        raise UnknownPairError(f"found no {pair[0]} for {pair[1]} tasks, expected one of its complexities: {known}")
    models = ", ".join(sorted({each.model for each in current})) or "none yet"
    raise UnknownPairError(f"found no model {pair[0]}, expected one that was ever chosen: {models}")


def _scores_at(connection: psycopg.Connection[Any], version: int) -> dict[Pair, Score]:
    """What every pair that has a history stood at when `version` was the newest."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_SCORES_AT.text, {"version": version}).fetchall()
    known = [row.pop("is_version") for row in rows]
    if not any(known):
        raise UnknownVersionError(f"found no version {version}, expected one that `centralcloud scores history` shows")
    scores = [Score.from_columns(row) for row in rows]
    return {score.pair: score for score in scores}
