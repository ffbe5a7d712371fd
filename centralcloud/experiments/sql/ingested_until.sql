-- Events that were sent before this moment are ingested, by the server's clock. Reads the oldest 1,000 messages of the queue, by its
-- primary key; a message that was sent with a delay does not wait yet.
SELECT
    clock_timestamp() AS now,
    (
        SELECT min(oldest.enqueued_at)
        FROM (
            SELECT enqueued_at, vt, read_ct FROM pgmq.q_model_routing_decisions ORDER BY msg_id LIMIT 1000
        ) AS oldest
        WHERE oldest.vt <= clock_timestamp() OR oldest.read_ct > 0
    ) AS oldest_waiting_at;
