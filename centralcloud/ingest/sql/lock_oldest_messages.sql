-- Locks the oldest visible messages, so that the lease that follows gets the same ones; returns how often each was attempted.
-- Served by the queue's primary key.
SELECT read_ct FROM pgmq.q_model_routing_decisions
WHERE vt <= clock_timestamp() ORDER BY msg_id LIMIT %(count)s FOR UPDATE SKIP LOCKED;
