"""Reports of the tables as plain rows, for the command line, dashboards and other programs."""

from typing import Any

import psycopg

from centralcloud.learning.current_scores import UnknownPairError
from centralcloud.runtime.postgres.query import Query

_LIST_METRICS = Query(__package__, "list_metrics", row=dict)
_LIST_SCORES = Query(__package__, "list_scores", row=dict)
_LIST_TASK_SCORES = Query(__package__, "list_task_scores", row=dict)
_EXPLAIN_SCORE = Query(__package__, "explain_score", row=dict)
_SCORE_HISTORY = Query(__package__, "score_history", row=dict)
_COMPARE_RULES = Query(__package__, "compare_rules", row=dict)


class ModelMetrics:
    """Aggregated metrics of each pair (model, complexity): the specification's ModelMetrics.

    See docs/reference/specification.md. Counters are lifetime counters. Rates are 0.0 to 1.0, and None where nothing is
    known. Times are in milliseconds.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def all(self) -> list[dict[str, Any]]:
        """Return one row a pair, ordered by model and complexity: the columns of ``list_metrics.sql``."""
        return _LIST_METRICS.all(self._connection)

    def get_usage(self, model: str, complexity: str) -> int:
        """Return how many decisions chose `model` for `complexity`; 0 for a pair that no decision has chosen."""
        return int(self._pair(model, complexity).get("usage_count", 0))

    def get_success_rate(self, model: str, complexity: str) -> float | None:
        """Return successes / (successes + failures); None while no decision is resolved."""
        rate = self._pair(model, complexity).get("success_rate")
        return None if rate is None else float(rate)

    def get_avg_response_time(self, model: str, complexity: str) -> float | None:
        """Return the mean of all reported response times in ms; None while none was reported."""
        average = self._pair(model, complexity).get("avg_response_time")
        return None if average is None else float(average)

    def high_usage_pairs(self, min_usage: int = 100) -> list[dict[str, Any]]:
        """Return the rows of `all()` with at least `min_usage` decisions; the specification learns from 100 on."""
        return [row for row in self.all() if row["usage_count"] >= min_usage]

    def _pair(self, model: str, complexity: str) -> dict[str, Any]:
        return next((row for row in self.all() if (row["model"], row["complexity"]) == (model, complexity)), {})


def current_scores(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Return one row a published score, ordered by model and complexity: the columns of ``list_scores.sql``."""
    return _LIST_SCORES.all(connection)


def current_task_scores(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Return one row a published score of a task type, the best model first: the columns of ``list_task_scores.sql``."""
    return _LIST_TASK_SCORES.all(connection)


def explain_score(connection: psycopg.Connection[Any], model: str, complexity: str) -> dict[str, Any]:
    """Return everything known about the score of a pair: the columns of ``explain_score.sql``.

    Raises:
        UnknownPairError: no decision has chosen the pair, and it has no score.
    """
    row = _EXPLAIN_SCORE.maybe(connection, {"model": model, "complexity": complexity})
    if row is None:
        raise UnknownPairError(
            f"found no {model} for {complexity} tasks, expected a pair that `centralcloud metrics` or `scores` shows"
        )
    return row


def score_history(
    connection: psycopg.Connection[Any], *, model: str | None, complexity: str | None, limit: int
) -> list[dict[str, Any]]:
    """Return published scores, newest first, at most `limit`: the columns of ``score_history.sql``."""
    return _SCORE_HISTORY.all(connection, {"model": model, "complexity": complexity, "limit": limit})


def compare_rules(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Return one row a pair, ordered by model and complexity: the columns of ``compare_rules.sql``."""
    return _COMPARE_RULES.all(connection)


def publishing_rule(rows: list[dict[str, Any]]) -> str | None:
    """Return the rule of the newest published score, from the rows of `compare_rules`; None when no rule has published one.

    It may differ from the active rule: a change of that takes effect with the next run that publishes.
    """
    by_rules = [row for row in rows if row["rule"] in row["scores"]]  # the others were set by an operator
    return str(max(by_rules, key=lambda row: row["version"])["rule"]) if by_rules else None
