-- Counts the old messages among the first ones of the queue, in the order of ids. Served by the queue's primary key.
WITH first AS (
    SELECT enqueued_at FROM pgmq.q_model_routing_decisions ORDER BY msg_id LIMIT %(at_most)s
)
SELECT count(*) FILTER (WHERE enqueued_at < %(before)s) AS counted, count(*) < %(at_most)s AS complete
FROM first;
