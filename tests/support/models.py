"""Models in the tables of a database: ingested events, published scores, rules."""

from centralcloud.learning.rule import Rule
from centralcloud.learning.rules import AdaptiveRule, ThresholdRule
from support.servers import execute

ADAPTIVE: list[Rule] = [AdaptiveRule(), ThresholdRule()]


THRESHOLD: list[Rule] = [ThresholdRule(), AdaptiveRule()]


def published(url: str) -> dict[tuple[str, str], float]:
    rows = execute(url, "SELECT model_name, complexity_level, score FROM model_scores")
    return {(row[0], row[1]): float(row[2]) for row in rows}


def models_in(url: str) -> dict[str, list[str]]:
    """Return the models in each table."""
    columns = {
        "routing_records": "model",
        **dict.fromkeys(
            (
                "model_routing_metrics", "evidence", "dropped_metrics", "dropped_evidence", "model_performance",
                "usage_roll_ups", "rule_scores", "model_scores", "score_pins", "score_holds", "retired_models",
            ),
            "model_name",
        ),
    }  # fmt: skip
    return {
        table: [row[0] for row in execute(url, f"SELECT DISTINCT {column} FROM {table} ORDER BY 1")]
        for table, column in columns.items()
    }
