-- The state of the server that the doctor checks, in one row. Reads catalogs only, so that it needs no right on a table.
SELECT
    to_regprocedure('pgmq.pop(text, integer)') IS NOT NULL AS pgmq_pops_batches,
    (SELECT extversion FROM pg_extension WHERE extname = 'pgmq') AS pgmq_version,
    ARRAY(
        SELECT name FROM unnest(ARRAY['model_routing_decisions', 'model_score_updates']) AS name
        WHERE to_regclass('pgmq.q_' || name) IS NULL
    ) AS missing_queues,
    ARRAY(SELECT name FROM unnest(%(tables)s::text[]) AS name WHERE to_regclass('public.' || name) IS NULL) AS missing_tables,
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
            WHERE i.inhparent = to_regclass('public.routing_records')
        ) AS partition
        WHERE upper_bound > now()
    )::double precision AS partition_weeks_ahead;
