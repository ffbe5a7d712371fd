"""Score tables for experiments: the scores of a rule, the published ones of an earlier time, or those of a list."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import psycopg

from centralcloud.administration.score_overrides import read_scores_at
from centralcloud.contracts import CentralCloudError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import TableScore, to_body
from centralcloud.learning.current_scores import read_current_scores
from centralcloud.learning.rule import Score
from centralcloud.learning.rule_scores import read_rule_scores
from centralcloud.runtime.postgres.query import Query

_NEWEST_VERSION_AT = Query(__package__, "newest_version_at", row=int)


class UnknownTableError(CentralCloudError):
    """No rule has given scores under this name, or there were no scores at this time."""


def table_of_rule(connection: psycopg.Connection[Any], rule: str, complexities: Sequence[str]) -> list[dict[str, Any]]:
    """Return the scores that a rule gives now, whether it publishes them or not, in the JSON form of a treatment.

    Args:
        complexities: only scores of these; none: of all.

    Raises:
        UnknownTableError: the rule has given no score.
    """
    stored = read_rule_scores(connection)
    if rule not in stored:
        known = ", ".join(sorted(stored)) or "none yet"
        raise UnknownTableError(f"found no scores of a rule {quote(rule)}, expected a rule that has some: {known}")
    return _table(connection, (each.score for each in stored[rule].values()), complexities, f"the rule {rule}")


def table_of_version(
    connection: psycopg.Connection[Any], version: int, complexities: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the scores of the time when a version was the newest, as of `table_of_rule`.

    Raises:
        UnknownVersionError: there was never such a version.
        UnknownTableError: it has no score of these complexities.
    """
    return _table(connection, read_scores_at(connection, version).values(), complexities, f"version {version}")


def table_of_time(
    connection: psycopg.Connection[Any], at: datetime, complexities: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the scores that were published at a time, as of `table_of_rule`.

    Raises:
        UnknownTableError: no score was published yet.
    """
    version = _NEWEST_VERSION_AT.maybe(connection, {"at": at})
    if version is None:
        raise UnknownTableError(f"found no scores that were published by {at.isoformat()}, expected a later time")
    return table_of_version(connection, version, complexities)


def differing(connection: psycopg.Connection[Any], table: Iterable[TableScore]) -> int:
    """Return how many scores of a table differ from the published ones."""
    published = {each.pair: each.old_score for each in read_current_scores(connection)}
    return sum(
        (old := published.get((each.model_id, each.complexity))) is None or abs(float(old) - each.score) >= 0.0005
        for each in table
    )


def _table(
    connection: psycopg.Connection[Any], scores: Iterable[Score], complexities: Sequence[str], source: str
) -> list[dict[str, Any]]:
    retired = {each.model for each in read_current_scores(connection) if each.retired_at is not None}
    found = [
        to_body(
            TableScore(
                model_id=score.model,
                complexity=score.complexity,  # type: ignore[arg-type]
                score=float(score.score),
                mean=score.estimate.mean,
                n_eff=score.estimate.n_eff,
            )
        )
        for score in sorted(scores, key=lambda each: each.pair)
        if score.model not in retired and (not complexities or score.complexity in complexities)
    ]
    if not found:
        levels = f" for {', '.join(complexities)} tasks" if complexities else ""
        raise UnknownTableError(f"found no score of {source}{levels}, expected some")
    return found
