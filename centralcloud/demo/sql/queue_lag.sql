-- Number of events in the queue, and the age of the oldest one in seconds.
SELECT
    count(*) AS length,
    coalesce(extract(epoch FROM clock_timestamp() - min(enqueued_at)), 0)::float8 AS lag_seconds
FROM pgmq.q_model_routing_decisions;
