"""Ingest: each event counts once, also with several consumers, and the counters equal a plain recount."""

import json
import random
import subprocess

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.commands import start_command
from support.events import SENT_AT, an_event, outcomes, random_events, send, send_texts
from support.ingest import ingest_all, metrics_of
from support.recount import recount
from support.servers import execute
from support.waiting import eventually

from centralcloud.ingest.batch_ingest import BatchResult
from centralcloud.ingest.consumer import Consumer
from centralcloud.monitoring.reports import ModelMetrics
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.slices import close_slice


def test_an_event_becomes_a_record_with_every_column(database: Database, database_url: str) -> None:
    event = an_event(
        outcome="Failure",
        response_time_ms=812.5,
        capabilities_required=["vision", "über"],
        prefer="speed",
        user_model_request="gpt-4o",
        decision_id="d-1",
        input_tokens=10,
        output_tokens=20,
        cost_usd=0.125,
        error_kind="provider",
        task_type="code",
        propensity=0.5,
        score_version=3,
        alternate_models=["a", "b"],
    )
    send(database_url, [event])
    assert ingest_all(database) == BatchResult(records=1)
    (row,) = execute(
        database_url,
        """
        SELECT timestamp, instance_id, complexity, model, provider, score, outcome,
               response_time_ms, capabilities_required, preference, user_model_request, decision_id, input_tokens,
               output_tokens, cost_usd, error_kind, task_type, propensity, score_version, slice_no, extra,
               created_at > now() - interval '1 hour'
        FROM routing_records
        """,
    )
    assert row == (
        SENT_AT, "singularity-1", "complex", "gpt-4o", "github_models", 4.8, "failure",
        812, ["vision", "über"], "speed", "gpt-4o", "d-1", 10,
        20, 0.125, "provider", "code", 0.5, 3, 1, {"alternate_models": ["a", "b"]}, True,
    )  # fmt: skip


def test_extreme_valid_values_are_stored(database: Database, database_url: str) -> None:
    text = json.dumps(an_event(note="NUMBER", response_time_ms=2147483647, cost_usd=1e9))
    send_texts(
        database_url, [text.replace('"NUMBER"', "1" + "0" * 400), json.dumps(an_event(note="\U0001f600" * 1000))]
    )
    assert ingest_all(database) == BatchResult(records=2)
    digits = execute(database_url, "SELECT length(extra->>'note') FROM routing_records ORDER BY id")
    assert digits == [(401,), (1000,)]


def test_a_missing_partition_is_created_and_no_event_is_lost(database: Database, database_url: str) -> None:
    for (name,) in execute(
        database_url, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'routing_records'::regclass"
    ):
        execute(database_url, f"DROP TABLE {name}")
    send(database_url, [an_event() for _ in range(5)])
    assert ingest_all(database) == BatchResult(records=5)


def test_a_drain_waits_for_messages_that_another_transaction_holds(database: Database, database_url: str) -> None:
    """The other consumer may release them."""
    send(database_url, [an_event() for _ in range(10)])
    with psycopg.connect(database_url) as other:
        other.execute("SELECT * FROM pgmq.pop('model_routing_decisions', 10)")
        with open_log() as log:
            process = start_command("centralcloud", "drain", "--json", env={"DATABASE_URL": database_url}, log=log)
            eventually(
                lambda: execute(
                    database_url,
                    "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'centralcloud/drain'",
                )[0][0]
            )
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=1.5)
            other.rollback()
            assert process.wait(timeout=20) == 0
            log.seek(0)
            assert json.loads(log.read())["records"] == 10


def open_log():
    import tempfile

    return tempfile.TemporaryFile("w+")


def test_messages_that_are_not_visible_yet_stay_in_the_queue(database: Database, database_url: str) -> None:
    execute(database_url, "SELECT pgmq.send('model_routing_decisions', '{}', 3600)")
    assert ingest_all(database) == BatchResult()


def test_two_drains_of_one_queue_ingest_every_event_once(database: Database, database_url: str) -> None:
    rng = random.Random(5)
    events = random_events(20_000, rng)
    for number, event in enumerate(events):
        if number % 2:
            event["routing_decision"]["decision_id"] = f"d-{number}"
    with database.transaction() as connection:
        connection.execute(
            "SELECT pgmq.send_batch('model_routing_decisions', %s::jsonb[])", ([json.dumps(event) for event in events],)
        )
    env = {"DATABASE_URL": database_url, "CENTRALCLOUD_BATCH_SIZE": "200"}
    processes = [start_command("centralcloud", "drain", "--json", env=env, log=subprocess.PIPE) for _ in range(2)]
    reports = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(report["records"] for report in reports) == 20_000
    assert all(report["events"] > 0 for report in reports), "both took part"
    assert execute(
        database_url, "SELECT count(*), count(decision_id), count(DISTINCT decision_id) FROM routing_records"
    ) == [(20_000, 10_000, 10_000)]
    assert_counters(database, events)


def test_the_same_decisions_sent_to_two_consumers_at_once_count_once(database: Database, database_url: str) -> None:
    events = [an_event(decision_id=f"d-{n}", outcome=o) for n in range(500) for o in ("routed", "success")]
    with database.transaction() as connection:
        for _ in range(4):
            connection.execute(
                "SELECT pgmq.send_batch('model_routing_decisions', %s::jsonb[])", ([json.dumps(e) for e in events],)
            )
    env = {"DATABASE_URL": database_url, "CENTRALCLOUD_BATCH_SIZE": "50"}
    processes = [start_command("centralcloud", "drain", "--json", env=env, log=subprocess.PIPE) for _ in range(2)]
    reports = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert sum(report["records"] for report in reports) == 1000
    assert sum(report["duplicates"] for report in reports) == 3000
    row = metrics_of(database)["gpt-4o", "complex"]
    assert (row["usage_count"], row["routed_count"], row["success_count"]) == (500, 500, 500)


def test_response_times_keep_the_newest_hundred_and_exact_sums(database: Database, database_url: str) -> None:
    send(database_url, [an_event(response_time_ms=number) for number in range(250)])
    ingest_all(database, batch_size=30)
    (row,) = execute(
        database_url,
        "SELECT response_times, response_time_count, response_time_sum_ms, avg_response_time FROM model_routing_metrics",
    )
    assert row == (list(range(150, 250)), 250, sum(range(250)), sum(range(250)) / 250)


def test_the_python_api_has_the_specifications_model_metrics(database: Database, database_url: str) -> None:
    send(database_url, [*outcomes(90, 10, time_ms=40), an_event(complexity="simple")])
    ingest_all(database)
    with database.transaction() as connection:
        metrics = ModelMetrics(connection)
        assert metrics.get_usage("gpt-4o", "complex") == 100
        assert metrics.get_success_rate("gpt-4o", "complex") == 0.9
        assert metrics.get_avg_response_time("gpt-4o", "complex") == 40
        assert metrics.get_success_rate("gpt-4o", "simple") is None
        assert metrics.get_usage("unknown", "simple") == 0
        assert [(row["model"], row["complexity"]) for row in metrics.high_usage_pairs()] == [("gpt-4o", "complex")]


def test_the_dashboards_views_answer(database: Database, database_url: str) -> None:
    events = outcomes(3, 1, time_ms=100) + [an_event() for _ in range(8)]
    for event in events:
        event["timestamp"] = execute(database_url, "SELECT now()")[0][0].isoformat()
    send(database_url, events)
    ingest_all(database)
    assert execute(database_url, "SELECT instance_id, model, usage_count FROM dashboard_models_per_instance") == [
        ("singularity-1", "gpt-4o", 8)
    ]
    rates = (
        "SELECT model_name, complexity_level, success_rate, success_per_use, usage_count FROM dashboard_success_rates"
    )
    (row,) = execute(database_url, rates)
    assert (*row[:2], float(row[2]), float(row[3]), row[4]) == ("gpt-4o", "complex", 75.0, 37.5, 8)
    assert execute(
        database_url, "SELECT model_name, complexity_level, avg_ms, max_ms FROM dashboard_response_times"
    ) == [("gpt-4o", "complex", 100, 100.0)]


_DECISIONS = st.lists(
    st.fixed_dictionaries(
        {
            "instance": st.sampled_from("ab"),
            "selected_model": st.sampled_from(["m", "n"]),
            "complexity": st.sampled_from(["simple", "Complex"]),
            "outcome": st.sampled_from(["routed", "success", "failure"]),
            "decision_id": st.none() | st.sampled_from(["1", "2", "3", "4"]),
            "error_kind": st.none() | st.sampled_from(["caller", "policy", "provider", "timeout"]),
            "response_time_ms": st.none() | st.integers(0, 5000),
            "complexity_score": st.sampled_from([0.0, 1.5, 5.0]),
        }
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(decisions=_DECISIONS, batch_size=st.integers(1, 12))
def test_the_counters_equal_a_plain_recount(
    database: Database, database_url: str, decisions: list[dict], batch_size: int
) -> None:
    """Linked and unlinked decisions, resends, outcomes before their decision, contradicting outcomes; in any batches."""
    execute(database_url, "TRUNCATE routing_records, model_routing_metrics, evidence, decision_ids, dead_letters")
    events = [
        an_event(decision["instance"], **{k: v for k, v in decision.items() if k != "instance"})
        for decision in decisions
    ]
    send(database_url, events)
    result = ingest_all(database, batch_size=batch_size)
    expected = recount(events)
    assert (result.records, result.duplicates, result.dead_letters) == (expected.records, expected.duplicates, 0)
    assert_counters(database, events)


def assert_counters(database: Database, events: list[dict]) -> None:
    """Metrics and evidence equal a plain recount of the events."""
    close_slice(database)
    expected = recount(events)
    found = metrics_of(database)
    assert set(found) == set(expected.pairs)
    for key, pair in expected.pairs.items():
        row = found[key]
        assert row["usage_count"] == pair.usage, key
        assert (row["routed_count"], row["success_count"]) == (pair.routed, pair.success), key
        assert (row["failure_count"], row["blameless_count"]) == (pair.failure, pair.blameless), key
        assert (row["response_time_count"], row["response_time_sum_ms"]) == (len(pair.times), sum(pair.times)), key
    with database.transaction() as connection:
        evidence = connection.execute(
            """
            SELECT model_name, complexity_level, sum(routed), sum(successes), sum(failures), sum(blameless),
                   sum(response_time_count), sum(response_time_sum_ms)
            FROM evidence GROUP BY 1, 2
            """
        ).fetchall()
    assert {(row[0], row[1]): tuple(map(int, row[2:])) for row in evidence} == {
        key: (
            pair.routed,
            pair.success,
            pair.failure,
            pair.blameless,
            len(pair.times_of_outcomes),
            sum(pair.times_of_outcomes),
        )
        for key, pair in expected.pairs.items()
    }


def test_the_last_reported_score_is_that_of_the_newest_message(database: Database, database_url: str) -> None:
    send(database_url, [an_event(complexity_score=1.0), an_event(complexity_score=4.5), an_event(complexity_score=2.0)])
    ingest_all(database, batch_size=2)
    assert metrics_of(database)["gpt-4o", "complex"]["last_reported_score"] == 2.0


def test_a_notification_wakes_a_consumer_long_before_its_poll(database: Database, database_url: str) -> None:
    from centralcloud.contracts import DECISIONS_CHANNEL
    from centralcloud.runtime.postgres.notifications import NotificationListener

    consumer = Consumer(database, batch_size=10, poll_interval_seconds=3600)
    listener = NotificationListener(database, {DECISIONS_CHANNEL: consumer.wake})
    consumer.start()
    listener.start()
    try:
        eventually(lambda: listening(database_url), what="the listener")
        for expected in (1, 2, 3):
            execute(
                database_url, "SELECT centralcloud.publish_decisions(ARRAY[%s::jsonb], true)", (json.dumps(an_event()),)
            )
            eventually(lambda: execute(database_url, "SELECT count(*) FROM routing_records")[0][0] == expected)  # noqa: B023
    finally:
        for task in (consumer, listener):
            task.stop()
        assert consumer.join(5)
        assert listener.join(5)


def listening(url: str) -> bool:
    return bool(
        execute(
            url,
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
            " AND query ~ '^(LISTEN|SELECT set_config.*pg_notify)'",
        )
    )
