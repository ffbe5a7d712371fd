-- Holds the oldest visible message that nobody else holds. Served by the queue's primary key.
SELECT msg_id FROM pgmq.q_model_routing_decisions
WHERE vt <= clock_timestamp() ORDER BY msg_id LIMIT 1 FOR UPDATE SKIP LOCKED;
