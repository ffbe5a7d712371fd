"""What the tables say, as plain rows: for the command line, dashboards and programs."""

from typing import Any

import psycopg
from psycopg.rows import dict_row

from centralcloud.learning.current_scores import UnknownPairError
from centralcloud.runtime.postgres.query import Query

_CURRENT_METRICS = Query(__package__, "list_metrics")
_CURRENT_SCORES = Query(__package__, "list_scores")
_EXPLAIN_SCORE = Query(__package__, "explain_score")
_SCORE_HISTORY = Query(__package__, "score_history")
_COMPARE_RULES = Query(__package__, "compare_rules")


class ModelMetrics:
    """Aggregated metrics per (model, complexity), as the specification's ModelMetrics offers them.

    Counters are lifetime counters. Rates are 0.0 to 1.0 and None where nothing is known; times are in milliseconds.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def all(self) -> list[dict[str, Any]]:
        """One row a pair, ordered by model and complexity: the columns of ``current_metrics.sql``."""
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(_CURRENT_METRICS.text).fetchall()

    def get_usage(self, model: str, complexity: str) -> int:
        """How many decisions chose `model` for `complexity`; 0 for a pair nobody has seen."""
        return int(self._of(model, complexity).get("usage_count", 0))

    def get_success_rate(self, model: str, complexity: str) -> float | None:
        """successes / (successes + failures); None when no decision has been resolved."""
        rate = self._of(model, complexity).get("success_rate")
        return None if rate is None else float(rate)

    def get_avg_response_time(self, model: str, complexity: str) -> float | None:
        """Mean of every reported response time, in ms; None when none was reported."""
        average = self._of(model, complexity).get("avg_response_time")
        return None if average is None else float(average)

    def high_usage_pairs(self, min_usage: int = 100) -> list[dict[str, Any]]:
        """The rows of `all()` with at least `min_usage` decisions (the specification learns from 100 on)."""
        return [row for row in self.all() if row["usage_count"] >= min_usage]

    def _of(self, model: str, complexity: str) -> dict[str, Any]:
        return next((row for row in self.all() if (row["model"], row["complexity"]) == (model, complexity)), {})


def current_scores(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """One row a learned score, ordered by model and complexity: the columns of ``current_scores.sql``."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_CURRENT_SCORES.text).fetchall()


def explain_score(connection: psycopg.Connection[Any], model: str, complexity: str) -> dict[str, Any]:
    """Everything known about the score of a pair: the columns of ``explain_score.sql``.

    Raises:
        UnknownPairError: nobody has ever chosen or scored it.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_EXPLAIN_SCORE.text, {"model": model, "complexity": complexity}).fetchone()
    if row is None:
        raise UnknownPairError(
            f"found no {model} for {complexity} tasks, expected a pair that `centralcloud metrics` or `scores` shows"
        )
    return row


def score_history(
    connection: psycopg.Connection[Any], *, model: str | None, complexity: str | None, limit: int
) -> list[dict[str, Any]]:
    """Scores that ever stood, newest first, at most `limit`: the columns of ``score_history.sql``."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            _SCORE_HISTORY.text, {"model": model, "complexity": complexity, "limit": limit}
        ).fetchall()


def compare_rules(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """One row a pair, ordered by model and complexity: the columns of ``compare_rules.sql``."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_COMPARE_RULES.text).fetchall()


def publishing_rule(rows: list[dict[str, Any]]) -> str | None:
    """The rule of the newest published score, from the rows of `compare_rules`; None when no rule has published one.

    Not always the rule that is set: a change of it takes effect with the next run that publishes.
    """
    by_rules = [row for row in rows if row["rule"] in row["scores"]]  # the others were set by an operator
    return str(max(by_rules, key=lambda row: row["version"])["rule"]) if by_rules else None
