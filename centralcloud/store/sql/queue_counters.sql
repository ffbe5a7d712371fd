-- Lifetime counters of the queue: messages sent (ids drawn: an upper bound), and messages that have left it. One row.
SELECT
    (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM pgmq.q_model_routing_decisions_msg_id_seq) AS sent,
    taken + purged AS left_the_queue,
    pg_total_relation_size('pgmq.q_model_routing_decisions') AS bytes_on_disk
FROM public.accounting;
