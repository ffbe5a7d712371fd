"""What an operator says about scores: pinning them, taking them back, standing still."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from centralcloud.contracts import CentralCloudError
from centralcloud.learning.evidence import Pair
from centralcloud.learning.publication import Change, Publication, Standing, publish, read_standing
from centralcloud.learning.rule import Rule, Score
from centralcloud.runtime.database import Database
from centralcloud.store import queries
from centralcloud.store.reports import UnknownPairError
from centralcloud.store.slices import References, close_slice

_LOCK_SCORES = queries.load("lock_scores")
_TOUCH = queries.load("touch_scores")
_PUT_PIN = queries.load("put_pin")
_FORGET_PIN = queries.load("forget_pin")
_PUT_HOLD = queries.load("put_hold")
_SCORES_AT = queries.load("scores_at_version")
_RESTART = queries.load("restart_rule_score")
_FREEZE = queries.load("freeze_learning")
_UNFREEZE = queries.load("unfreeze_learning")


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
    with writing_scores(database) as (connection, now):
        standing = _find(read_standing(connection), pair)
        values = {"model": pair[0], "complexity": pair[1], "score": score, "until": until}
        connection.execute(_PUT_PIN, values)
        how_long = f"until {until:%Y-%m-%d %H:%M} UTC" if until else "until it is unpinned"
        pinned = score_by_hand(standing, score, "pin", f"pinned at {score} by an operator, {how_long}")
        return publish(connection, [Publication(standing, pinned, {})], rule="pin", run_id=None, now=now)[0]


def unpin(database: Database, pair: Pair) -> None:
    """Take a pin back: the next run of the learner publishes what its rule thinks.

    Raises:
        UnknownPairError: the pair is not pinned.
    """
    with writing_scores(database) as (connection, _):
        if not connection.execute(_FORGET_PIN, {"model": pair[0], "complexity": pair[1]}).rowcount:
            raise UnknownPairError(f"found no pin of {pair[0]} ({pair[1]})")
        connection.execute(_TOUCH)


def roll_back(database: Database, rules: Sequence[Rule], to_version: int, references: References) -> Rollback:
    """Make the scores what they were when `to_version` was the newest: as new versions, so that every instance follows.

    A pair that had no score then gets what its instances reported at the time. Every rule goes on from there: what came in
    up to now is not held against the restored scores again. Pins and retirements stay.

    Raises:
        UnknownVersionError: no such version was ever published.
    """
    through_slice = close_slice(database, references)
    with writing_scores(database) as (connection, now):
        publications, then = [], _scores_at(connection, to_version)
        for standing in read_standing(connection):
            if standing.version is None or standing.version <= to_version:
                continue
            if standing.pinned_score is not None or standing.retired_at is not None:
                continue
            if (old := then.get(standing.pair)) is None or (old.score == standing.score and old.mean == standing.mean):
                continue
            reason = f"rolled back to version {to_version}: {standing.score} -> {old.score}; then: {old.reason}"
            publications.append(Publication(standing, replace(old, kind="rollback", reason=reason), {}))
        for each in publications:
            pair = {"model": each.score.model, "complexity": each.score.complexity}
            connection.execute(_PUT_HOLD, {**pair, "after_slice": through_slice})
            for rule in rules:
                state = rule.start_again(None, each.score.score, through_slice)
                connection.execute(_RESTART, {**pair, "rule": rule.name, "state": Jsonb(state)})
        undone = publish(connection, publications, rule="rollback", run_id=None, now=now) if publications else []
    return Rollback(to_version, undone)


def freeze(database: Database, reason: str) -> None:
    """Publish nothing from now on; the rules go on in the shadow. Freezing again replaces the reason."""
    with writing_scores(database) as (connection, _):
        connection.execute(_FREEZE, {"reason": reason})


def unfreeze(database: Database) -> bool:
    """Publish again from the next run on; False when nothing was frozen."""
    with writing_scores(database) as (connection, _):
        return connection.execute(_UNFREEZE).rowcount > 0


@contextmanager
def writing_scores(database: Database) -> Iterator[tuple[psycopg.Connection[Any], datetime]]:
    """A transaction that holds the score lock, and the moment of publication by the server's clock."""
    with database.transaction() as connection:
        connection.execute(_LOCK_SCORES)
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        yield connection, row[0]


def _find(standing: list[Standing], pair: Pair) -> Standing:
    for each in standing:
        if each.pair == pair:
            return each
    known = ", ".join(sorted({each.complexity for each in standing if each.model == pair[0]}))
    if known:
        raise UnknownPairError(f"found no {pair[0]} for {pair[1]} tasks, expected one of its complexities: {known}")
    models = ", ".join(sorted({each.model for each in standing})) or "none yet"
    raise UnknownPairError(f"found no model {pair[0]}, expected one that was ever chosen: {models}")


def score_by_hand(standing: Standing, score: Decimal, kind: str, reason: str) -> Score:
    """A score that no evidence stands behind."""
    through_slice = standing.through_slice or 0
    return Score(
        model=standing.model,
        complexity=standing.complexity,
        score=score,
        kind=kind,
        reason=reason,
        confidence=None,
        samples=0,
        success_rate=None,
        avg_response_time_ms=None,
        after_slice=through_slice,
        through_slice=through_slice,
    )


def _scores_at(connection: psycopg.Connection[Any], version: int) -> dict[Pair, Score]:
    """What every pair that has a history stood at when `version` was the newest."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_SCORES_AT, {"version": version}).fetchall()
    known = [row.pop("is_version") for row in rows]
    if not any(known):
        raise UnknownVersionError(f"found no version {version}, expected one that `centralcloud scores history` shows")
    scores = [Score(**row) for row in rows]
    return {score.pair: score for score in scores}
