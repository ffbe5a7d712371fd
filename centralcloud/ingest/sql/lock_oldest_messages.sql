-- Locks the oldest visible messages, so that the lease that follows gets the same ones; returns how often each was attempted,
-- and its stored size. A compressed value counts eight times, as in pop_messages. Served by the queue's primary key.
SELECT read_ct, pg_column_size(message) * CASE WHEN pg_column_compression(message) IS NULL THEN 1 ELSE 8 END AS stored_bytes
FROM pgmq.q_model_routing_decisions
WHERE vt <= clock_timestamp() ORDER BY msg_id LIMIT %(count)s FOR UPDATE SKIP LOCKED;
