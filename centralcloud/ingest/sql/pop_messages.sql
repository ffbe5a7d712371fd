-- Removes the oldest visible messages from the queue, except those that other transactions hold. Served by the primary key.
-- A message that is too large becomes a dead letter here, and is only counted: its text is not sent to the client.
-- Returns one row of arrays, which is faster than rows. enqueued_at stays text, because only dead letters use it.
WITH popped AS MATERIALIZED (
    SELECT msg_id, read_ct, enqueued_at, message::text AS text FROM pgmq.pop('model_routing_decisions', %(batch_size)s)
), too_large AS (
    INSERT INTO dead_letters (queue_name, msg_id, enqueued_at, message, reason, field)
    SELECT
        'model_routing_decisions', msg_id, enqueued_at, text,
        format('message: found %%s bytes, expected at most %%s bytes', octet_length(text), %(max_bytes)s::integer), 'message'
    FROM popped
    WHERE octet_length(text) > %(max_bytes)s
    RETURNING msg_id
)
SELECT
    array_agg(msg_id) AS msg_ids,
    array_agg(enqueued_at::text) AS enqueued_at,
    array_agg(text) AS texts,
    (SELECT array_agg(msg_id) FROM too_large) AS too_large_ids,
    (SELECT count(*) FROM popped WHERE read_ct > 0) AS attempted_before,
    clock_timestamp() AS now,
    extract(epoch FROM clock_timestamp() - min(enqueued_at))::double precision AS lag_seconds
FROM popped
WHERE octet_length(text) > %(max_bytes)s IS NOT TRUE;
