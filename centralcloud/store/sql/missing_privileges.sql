-- The privileges of a worker that the given role lacks, or without one this role, first those without which no event can be
-- ingested. Tables, sequences and functions that are missing are left out. Reads catalogs only. The privileges are those of
-- ``grant_worker.sql``, except for the views of dashboards and operators, which no worker reads, and for functions that are
-- called only by others, which run as their owner.
WITH checked (role) AS (
    SELECT coalesce(%(role)s::text, current_user)::name
), table_privilege (privilege, name) AS (
    SELECT privilege, 'public.' || name
    FROM unnest(%(tables)s::text[]) AS name, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
    UNION ALL
    SELECT privilege, 'public.' || name
    FROM unnest(%(append_only)s::text[]) AS name, unnest(ARRAY['SELECT', 'INSERT']) AS privilege
    UNION ALL
    SELECT 'SELECT', 'public.' || name FROM unnest(%(read_only)s::text[]) AS name
    UNION ALL
    SELECT privilege, 'pgmq.' || name
    FROM unnest(ARRAY['q_model_routing_decisions', 'q_model_score_updates']) AS name,
        unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
    UNION ALL
    VALUES
        ('SELECT', 'pgmq.a_model_routing_decisions'), ('INSERT', 'pgmq.a_model_routing_decisions'),
        ('SELECT', 'public.evidence_of_records'), ('SELECT', 'public.database_generation'),
        ('SELECT', 'public.routing_decisions'),
        ('SELECT', 'centralcloud.schema_revision'), ('SELECT', 'centralcloud.schema_compatibility')
), sequence_privilege (privilege, name) AS (
    VALUES
        ('USAGE', 'public.model_score_version'), ('SELECT', 'public.routing_records_id_seq'),
        ('SELECT', 'pgmq.q_model_routing_decisions_msg_id_seq')
), relation AS (
    -- Not to_regclass: it fails without USAGE on the schema.
    SELECT c.oid, nspname || '.' || relname AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname IN ('public', 'centralcloud', 'pgmq')
), lacking AS (
    SELECT 1 AS place, 'USAGE on schema ' || nspname AS privilege FROM pg_namespace, checked
    WHERE nspname IN ('public', 'centralcloud', 'pgmq') AND NOT has_schema_privilege(role, oid, 'USAGE')
    UNION ALL
    SELECT
        CASE WHEN (privilege, name) = ('INSERT', 'public.routing_records') THEN 2 ELSE 3 END,
        privilege || ' on ' || regexp_replace(name, '^public\.', '')
    FROM checked, table_privilege JOIN relation USING (name) WHERE NOT has_table_privilege(role, oid, privilege)
    UNION ALL
    SELECT 4, privilege || ' on sequence ' || regexp_replace(name, '^public\.', '')
    FROM checked, sequence_privilege JOIN relation USING (name) WHERE NOT has_sequence_privilege(role, oid, privilege)
    UNION ALL
    SELECT 5, 'EXECUTE on ' || p.oid::regprocedure
    FROM checked, pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
    WHERE NOT has_function_privilege(role, p.oid, 'EXECUTE') AND (
        nspname = 'centralcloud' AND proname IN (
            'ensure_partitions', 'drop_expired_partition', 'publish_decision', 'publish_decisions', 'add_metrics',
            'add_dropped_metrics', 'epoch', 'sequence_positions', 'repair_sequences',
            'settle_feedback', 'notify_decisions', 'queue_summary', 'current_experiments', 'set_experiment_stage'
        )
        OR nspname = 'pgmq' AND proname IN (
            'read', 'pop', 'archive', 'send', 'send_batch', '_send_batch', '_validate_batch_params', 'format_table_name'
        )
    )
)
SELECT privilege FROM lacking ORDER BY place, split_part(privilege, ' on ', 2), privilege;
