-- The ids up to one that were drawn and are nowhere: neither in the queue nor among those that have left it, nor known to be
-- missing since an earlier verification. The position of that verification, and whether the server has started since: a start after
-- a crash skips ids. Reads the whole queue: for `verify` only.
WITH queued AS (
    SELECT int8range(min(msg_id), max(msg_id), '[]') AS ids
    FROM (
        SELECT msg_id, msg_id - row_number() OVER (ORDER BY msg_id) AS island FROM pgmq.q_model_routing_decisions
    ) AS message
    GROUP BY island
), known AS (
    SELECT unnest(handled + missing) AS ids FROM public.message_ids
    UNION ALL SELECT ids FROM queued
)
SELECT
    (
        int8multirange(int8range(ids_tracked_after, greatest(ids_tracked_after, %(ids_drawn)s::bigint), '(]'))
        - coalesce((SELECT range_agg(ids) FROM known), '{}')
    )::text AS missing,
    verified_at,
    verified_ids,
    verified_unaccounted,
    pg_postmaster_start_time() > coalesce(verified_at, (SELECT created_at FROM public.database_generation)) AS restarted
FROM public.accounting;
