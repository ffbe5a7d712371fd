-- The whole fleet at one moment: totals of the ledger, one row; the queue, at most 100,000 messages of it by its primary key; and the
-- instances, one row each, which is read whole. No row: the ledger has none.
SELECT
    clock_timestamp() AS now,
    a.records,
    a.counted_records AS counted,
    a.successes,
    a.failures,
    a.blameless,
    a.cost_nano_usd,
    queue.messages AS queue_messages,
    queue.oldest_waiting_seconds AS queue_oldest_seconds,
    greatest(a.dead_letters - a.dead_letters_replayed - a.dead_letters_discarded, 0) AS dead_letters,
    seen.instances,
    seen.instances_behind
FROM public.accounting AS a
CROSS JOIN centralcloud.queue_summary() AS queue
CROSS JOIN (
    SELECT
        count(*) AS instances,
        count(*) FILTER (WHERE applied_version < (SELECT coalesce(max(version), 0) FROM public.model_scores)) AS instances_behind
    FROM public.instances WHERE last_seen_at > now() - interval '1 day'
) AS seen;
