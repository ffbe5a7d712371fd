"""The state of the fleet, as the tables have it."""

from support.events import outcomes
from support.ingest import ingest
from support.servers import execute

from centralcloud.cli.status import status_lines
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import AdaptiveRule, ThresholdRule
from centralcloud.monitoring.doctor import Expectations, examine
from centralcloud.monitoring.status import fleet_status
from centralcloud.runtime.postgres.database import Database


def test_a_worker_that_was_killed_is_listed_as_not_running(database: Database, database_url: str) -> None:
    execute(
        database_url,
        """
        INSERT INTO ingest_workers (host, process, batch_size, seen_at) VALUES
            ('alive', 'a', 1000, now()), ('dead', 'b', 1000, now() - interval '3 hours')
        """,
    )
    status = fleet_status(database, measure_seconds=0.01)
    assert [(worker["host"], worker["running"]) for worker in status["workers"]] == [("alive", True), ("dead", False)]
    assert status["running_workers"] == 1


def test_every_score_that_moved_is_listed_the_largest_change_first(database: Database, database_url: str) -> None:
    execute(
        database_url,
        """
        WITH moved AS (
            SELECT 'model-' || number AS model, number, 3 + number / 10.0 AS score FROM generate_series(1, 12) AS number
        ), current AS (
            INSERT INTO model_scores
                (model_name, complexity_level, score, version, reason, rule, based_on_samples, evaluated_through_slice)
            SELECT model, 'simple', score, number, 'learned', 'threshold', 100, 1 FROM moved
        )
        INSERT INTO model_score_history (version, model_name, complexity_level, old_score, new_score, reason, rule,
            based_on_samples, after_slice, through_slice)
        SELECT number, model, 'simple', 3, score, 'learned', 'threshold', 100, 0, 1 FROM moved
        """,
    )
    moved = fleet_status(database, measure_seconds=0.01)["moved_scores"]
    assert [row["model"] for row in moved] == [f"model-{number}" for number in range(12, 0, -1)]


def test_a_run_that_published_in_parts_is_shown_as_one(database: Database, database_url: str) -> None:
    execute(
        database_url,
        """
        INSERT INTO learning_runs (rule, through_slice, started_at, pairs_evaluated, pairs_changed, samples) VALUES
            ('adaptive', 1, '2026-01-01 12:00Z', 500, 50, 9),
            ('threshold', 2, '2026-01-01 13:00Z', 7, 7, 9),
            ('adaptive', 2, '2026-01-01 13:00Z', 1000, 10, 9),
            ('adaptive', 2, '2026-01-01 13:00Z', 300, 4, 9)
        """,
    )
    run = fleet_status(database, measure_seconds=0.01)["last_run"]
    assert (run["run_id"], run["rule"], run["pairs_evaluated"], run["pairs_changed"]) == (4, "adaptive", 1300, 14)


def test_the_status_and_the_doctor_say_what_the_shadow_rule_would_choose_otherwise(
    database: Database, database_url: str
) -> None:
    """Both models fail too often for the threshold, which lowers both; only the estimate tells them apart."""
    events = [
        *outcomes(60, 40, selected_model="a", complexity="simple"),
        *outcomes(90, 10, selected_model="b", complexity="simple"),
        *outcomes(300, 0, selected_model="a", complexity="complex"),
    ]
    ingest(database, database_url, events)
    Learner(database, [ThresholdRule(), AdaptiveRule()]).learn()
    execute(
        database_url, "INSERT INTO fleet_settings (name, value, updated_at) VALUES ('rule', '\"threshold\"', now())"
    )
    execute(database_url, "UPDATE rule_scores SET score = 5 WHERE rule = 'threshold' AND model_name = 'a'")

    found = fleet_status(database, measure_seconds=0.01)
    (shadow,) = found["shadow_rules"]
    assert (shadow["rule"], shadow["traffic_share"]) == ("adaptive", 0.4)
    assert [(each["complexity"], each["active"], each["others"]) for each in shadow["choices"] if not each["same"]] == [
        ("simple", "a", ["b"])
    ]
    words = "adaptive would choose otherwise for 40.0% of traffic: b, not a (simple)"
    assert f"{words} (`centralcloud settings set rule adaptive`)" in " ".join(line.text for line in status_lines(found))
    rule = next(check for check in examine(database, Expectations()) if check.check == "rule")
    assert rule.found == f"threshold; {words}; `centralcloud settings set rule adaptive` switches"
