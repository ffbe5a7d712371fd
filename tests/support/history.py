"""A database with a history: generated inside the server, so that ten million records take a minute or two."""

from datetime import timedelta

import psycopg

from support.servers import execute

#: Whole weeks before this one.
_WEEKS = 12


def fill_history(
    url: str, *, records: int, pairs: int = 60, instances: int = 10, records_per_slice: int = 1000
) -> None:
    """Fill an empty database as if `records` events had come over twelve weeks and this one, and been learned from.

    Each week has the same number of them, also the part of this week that is over: a partition with few pages would be
    read without an index.

    Everything adds up: records in weekly partitions, counters, evidence in slices, decision ids of the last week, scores,
    ledger, and the queue's sequence.
    """
    parameters = {
        "records": records,
        "models": max(1, pairs // 3),
        "instances": instances,
        "per_slice": records_per_slice,
        "weeks": _WEEKS + 1,
    }
    with psycopg.connect(url, autocommit=True) as connection:
        for week in range(_WEEKS, 0, -1):
            (start, end, name) = connection.execute(
                """
                SELECT start, start + interval '7 days', 'routing_records_' || to_char(start, 'IYYY"w"IW')
                FROM (SELECT date_trunc('week', now(), 'UTC') - make_interval(weeks => %s) AS start) AS week
                """,
                (week,),
            ).fetchone() or (None, None, None)
            connection.execute(
                f"CREATE TABLE {name} PARTITION OF routing_records FOR VALUES FROM ('{start}') TO ('{end}')"
            )
        for statement in _STATEMENTS:
            connection.execute(statement, parameters)
        connection.execute("VACUUM ANALYZE")


def create_week(database_url: str, ago: timedelta) -> None:
    """Create the partition of the week that long ago, unless it is this one: an hour ago is in another one on Mondays."""
    ((start, this_week),) = execute(
        database_url,
        """
        SELECT date_trunc('week', now() AT TIME ZONE 'UTC' - %s::interval) AT TIME ZONE 'UTC',
            date_trunc('week', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
        """,
        (ago,),
    )
    if start < this_week:
        execute(
            database_url,
            f"""
            CREATE TABLE IF NOT EXISTS routing_records_{start:%Y%m%d} PARTITION OF routing_records
                FOR VALUES FROM ('{start.isoformat()}') TO ('{(start + timedelta(days=7)).isoformat()}')
            """,
        )


def pretend_all_came(database_url: str, days_ago: float) -> None:
    """Move everything ingested so far into the past; the records go to a partition of that week."""
    shift = timedelta(days=days_ago)
    create_week(database_url, shift)
    execute(
        database_url,
        f"""
        UPDATE routing_records SET
            created_at = created_at - interval '{shift.total_seconds()} seconds',
            timestamp = timestamp - interval '{shift.total_seconds()} seconds'
            WHERE created_at > now() - interval '1 hour';
        UPDATE evidence_slices SET
            opened_at = opened_at - interval '{shift.total_seconds()} seconds',
            closed_at = closed_at - interval '{shift.total_seconds()} seconds'
        WHERE opened_at > now() - interval '1 hour' AND closed_at IS NOT NULL
        """,
    )


_STATEMENTS = (
    """
    INSERT INTO routing_records (
        timestamp, created_at, instance_id, complexity, model, provider, score, outcome, response_time_ms, decision_id,
        capabilities_required, slice_no, msg_id, first_of_decision, task_type
    )
    SELECT
        at, at, 'instance-' || n %% %(instances)s, (ARRAY['simple', 'medium', 'complex'])[1 + n / 7 %% 3],
        'model-' || n %% %(models)s, 'provider-' || n %% %(models)s %% 5, 2.5,
        CASE WHEN n %% 10 < 8 THEN 'success' ELSE 'failure' END, 200 + n %% 3000, lpad(to_hex(n), 32, '0'),
        '{}', 1 + n / %(per_slice)s, n + 1, true, 'type-' || n / 11 %% 4
    FROM generate_series(0, %(records)s::bigint - 1) AS n
    CROSS JOIN LATERAL (SELECT n * %(weeks)s::float8 / %(records)s AS week) AS past
    CROSS JOIN LATERAL (
        SELECT this_week + CASE
            WHEN week < %(weeks)s - 1 THEN (week - %(weeks)s + 1) * interval '7 days'
            ELSE (week - %(weeks)s + 1) * greatest(now() - interval '1 minute' - this_week, interval '0')
        END AS at
        FROM date_trunc('week', now(), 'UTC') AS this_week
    ) AS moment
    """,
    "DELETE FROM evidence_slices",
    """
    INSERT INTO evidence_slices (slice_no, opened_at, closed_at, gathered_at, after_record_id, by_task_type)
    SELECT slice_no, min(created_at), max(created_at), max(created_at), min(id) - 1, true
    FROM routing_records GROUP BY slice_no
    """,
    """
    INSERT INTO evidence_slices (slice_no, after_record_id)
    SELECT max(slice_no) + 1, (SELECT last_value FROM routing_records_id_seq) FROM evidence_slices
    """,
    """
    INSERT INTO evidence (
        slice_no, model_name, complexity_level, provider, instance_id, successes, failures, response_time_count,
        response_time_sum_ms, capped_response_time_sum_ms
    )
    SELECT slice_no, model, complexity, provider, instance_id, count(*) FILTER (WHERE outcome = 'success'),
        count(*) FILTER (WHERE outcome = 'failure'), count(*), sum(response_time_ms), sum(response_time_ms)
    FROM routing_records GROUP BY 1, 2, 3, 4, 5 ORDER BY 1
    """,
    "INSERT INTO task_types (task_no, name, slice_no) SELECT n + 1, 'type-' || n, 1 FROM generate_series(0, 3) AS n",
    """
    INSERT INTO task_evidence (slice_no, model_name, complexity_level, task_no, instance_id, successes, failures)
    SELECT r.slice_no, model, complexity, task_no, instance_id, count(*) FILTER (WHERE outcome = 'success'),
        count(*) FILTER (WHERE outcome = 'failure')
    FROM routing_records r JOIN task_types ON name = task_type GROUP BY 1, 2, 3, 4, 5 ORDER BY 1
    """,
    """
    INSERT INTO model_routing_metrics (
        model_name, complexity_level, success_count, failure_count, linked_decision_count, response_time_count,
        response_time_sum_ms, response_times, last_reported_score, last_reported_msg_id
    )
    SELECT model, complexity, count(*) FILTER (WHERE outcome = 'success'), count(*) FILTER (WHERE outcome = 'failure'),
        count(*), count(*), sum(response_time_ms), array_fill(500, ARRAY[least(100, count(*))::int]), 2.5, max(msg_id)
    FROM routing_records GROUP BY 1, 2
    """,
    """
    INSERT INTO decision_ids (instance_id, decision_id, seen, created_at)
    SELECT instance_id, decision_id, 2, created_at FROM routing_records WHERE created_at > now() - interval '7 days'
    """,
    """
    INSERT INTO model_scores (
        model_name, complexity_level, score, version, reason, rule, based_on_samples, evaluated_through_slice
    )
    SELECT model_name, complexity_level, 2.5, nextval('model_score_version'), 'history', 'threshold', 100,
        (SELECT max(slice_no) - 1 FROM evidence_slices)
    FROM model_routing_metrics
    """,
    """
    INSERT INTO rule_scores (
        rule, model_name, complexity_level, score, kind, reason, based_on_samples, after_slice, through_slice, state
    )
    SELECT rule, model_name, complexity_level, score, 'step', reason, based_on_samples, evaluated_through_slice,
        evaluated_through_slice, jsonb_build_object('score', score::text, 'after_slice', evaluated_through_slice)
    FROM model_scores
    """,
    """
    SELECT pgmq.send('model_score_updates', jsonb_build_object('model', model_name, 'complexity', complexity_level,
        'new_score', score, 'version', version)) FROM model_scores, generate_series(1, 20)
    """,
    """
    INSERT INTO model_performance
    SELECT
        hour, hour + interval '1 hour', 'model-' || n, 'simple', 'p', 'i', 1, 1, 0, 0, NULL, NULL, NULL, NULL, 0, 0, NULL
    FROM generate_series(date_trunc('hour', now()) - interval '84 days', now(), interval '1 hour') AS hour,
         generate_series(1, 3) AS n
    """,
    "UPDATE accounting SET taken = %(records)s, records = %(records)s",
    "SELECT setval('pgmq.q_model_routing_decisions_msg_id_seq', %(records)s)",
)
