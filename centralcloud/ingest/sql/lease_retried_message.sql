-- As lease_messages, for the oldest message that was attempted before, if it is among the oldest visible ones. Served by the
-- queue's primary key.
UPDATE pgmq.q_model_routing_decisions SET
    vt = clock_timestamp() + make_interval(secs => %(seconds)s), read_ct = read_ct + 1, last_read_at = clock_timestamp()
WHERE msg_id = (
    SELECT msg_id FROM pgmq.q_model_routing_decisions
    WHERE vt <= clock_timestamp() AND msg_id = ANY (ARRAY(
        SELECT msg_id
        FROM (
            SELECT msg_id, read_ct FROM pgmq.q_model_routing_decisions
            WHERE vt <= clock_timestamp() ORDER BY msg_id LIMIT %(among)s
        ) AS oldest
        WHERE read_ct > 0
    ))
    ORDER BY msg_id LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING msg_id, read_ct;
