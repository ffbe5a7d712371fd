-- The state of the server that the doctor checks, in one row. Reads catalogs only, so that it needs no right on a table.
SELECT
    to_regprocedure('pgmq.pop(text, integer)') IS NOT NULL AS pgmq_pops_batches,
    (SELECT extversion FROM pg_extension WHERE extname = 'pgmq') AS pgmq_version,
    ARRAY(
        SELECT name FROM unnest(ARRAY['model_routing_decisions', 'model_score_updates']) AS name
        WHERE to_regclass('pgmq.q_' || name) IS NULL
    ) AS missing_queues,
    ARRAY(SELECT name FROM unnest(%(tables)s::text[]) AS name WHERE to_regclass('public.' || quote_ident(name)) IS NULL) AS missing_tables,
    current_setting('autovacuum') AS autovacuum,
    coalesce(
        (SELECT 'autovacuum_vacuum_scale_factor=0.01' = ANY (reloptions) FROM pg_class
         WHERE oid = to_regclass('pgmq.q_model_routing_decisions')),
        false
    ) AS queue_is_vacuumed_early;
