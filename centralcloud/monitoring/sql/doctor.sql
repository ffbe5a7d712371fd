-- The state of the server and of small tables that the doctor checks, in one row. Reads catalogs and small tables only.
SELECT
    to_regprocedure('pgmq.pop(text, integer)') IS NOT NULL AS pgmq_pops_batches,
    (SELECT extversion FROM pg_extension WHERE extname = 'pgmq') AS pgmq_version,
    ARRAY(
        SELECT name FROM unnest(ARRAY['model_routing_decisions', 'model_score_updates']) AS name
        WHERE to_regclass('pgmq.q_' || name) IS NULL
    ) AS missing_queues,
    current_setting('autovacuum') AS autovacuum,
    coalesce(
        (SELECT 'autovacuum_vacuum_scale_factor=0.01' = ANY (reloptions) FROM pg_class
         WHERE oid = to_regclass('pgmq.q_model_routing_decisions')),
        false
    ) AS queue_is_vacuumed_early,
    (
        SELECT extract(epoch FROM max(upper_bound) - now()) / 604800
        FROM (
            SELECT substring(pg_get_expr(c.relpartbound, c.oid) FROM $bound$TO \('([^']+)'\)$bound$)::timestamptz AS upper_bound
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = to_regclass('routing_records')
        ) AS partition
        WHERE upper_bound > now()
    )::double precision AS partition_weeks_ahead,
    EXISTS (SELECT FROM accounting) AND EXISTS (SELECT FROM learning_control) AS ledger_is_present,
    snapshot.seconds AS oldest_snapshot_seconds,
    snapshot.holder AS oldest_snapshot_holder,
    (SELECT count(*) FROM dead_letters WHERE resolution IS NULL) AS dead_letters_open,
    (SELECT coalesce(frozen_reason, 'no reason given') FROM learning_control WHERE frozen_at IS NOT NULL) AS frozen_reason,
    (SELECT extract(epoch FROM clock_timestamp() - max(finished_at)) FROM learning_runs)::double precision AS last_run_seconds
FROM (SELECT) AS always
LEFT JOIN LATERAL (
    SELECT
        extract(epoch FROM clock_timestamp() - xact_start)::double precision AS seconds,
        concat_ws(', ', 'process ' || pid, nullif(application_name, ''), usename, state) AS holder
    FROM pg_stat_activity
    WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'
        AND datname = current_database()
    ORDER BY xact_start LIMIT 1
) AS snapshot ON true;
