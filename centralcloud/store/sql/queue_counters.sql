-- Lifetime counters of the queue: messages sent (the greatest id in the queue or among those that have left it: an upper bound),
-- and messages that have left it. One row; the newest ids are served by primary keys.
SELECT
    greatest(
        (SELECT max(msg_id) FROM pgmq.q_model_routing_decisions),
        (SELECT upper(handled) - 1 FROM public.message_ids WHERE NOT isempty(handled) ORDER BY block DESC LIMIT 1),
        ids_tracked_after,
        taken + purged
    ) AS sent,
    taken + purged AS left_the_queue,
    pg_total_relation_size('pgmq.q_model_routing_decisions') AS bytes_on_disk
FROM public.accounting;
