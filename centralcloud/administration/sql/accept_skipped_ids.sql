-- Records the ids that raising the queue's sequence to %(raised_to)s has skipped as known to be missing: those above the newest one
-- that was ever used. Returns their number. The transaction must hold the lock of repair_sequences. Served by primary keys.
WITH used AS (
    SELECT greatest(
        %(was_at)s::bigint,
        (SELECT max(msg_id) FROM pgmq.q_model_routing_decisions),
        (SELECT upper(handled) - 1 FROM public.message_ids WHERE NOT isempty(handled) ORDER BY block DESC LIMIT 1),
        (SELECT ids_tracked_after FROM public.accounting)
    ) AS newest
), skipped AS (
    SELECT newest + 1 AS first_id, %(raised_to)s::bigint AS last_id FROM used WHERE newest < %(raised_to)s::bigint
), recorded AS (
    INSERT INTO public.message_ids AS m (block, missing)
    SELECT
        block, int8multirange(int8range(greatest(first_id, block * 10000), least(last_id, block * 10000 + 9999), '[]'))
    FROM skipped CROSS JOIN generate_series(first_id / 10000, last_id / 10000) AS block
    ORDER BY block
    ON CONFLICT (block) DO UPDATE SET missing = m.missing + excluded.missing
)
SELECT coalesce(sum(last_id - first_id + 1), 0)::bigint FROM skipped;
