"""The lock that orders all writers of scores, and the revision that tells a reader that one of them has written."""

from typing import Any

import psycopg

from centralcloud.runtime.postgres.query import Query

_LOCK_SCORES = Query(__package__, "lock_scores")
_BUMP_SCORE_REVISION = Query(__package__, "bump_score_revision")


def lock_scores(connection: psycopg.Connection[Any]) -> None:
    """Wait for the score lock; the transaction holds it until its end."""
    _LOCK_SCORES.run(connection)


def bump_score_revision(connection: psycopg.Connection[Any]) -> None:
    """Make runs of the learner that have read before read again. The transaction must hold the score lock."""
    _BUMP_SCORE_REVISION.run(connection)
