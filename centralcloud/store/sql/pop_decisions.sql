-- Takes the oldest visible messages off the queue, skipping what others hold. Served by the queue's primary key.
-- A message that is too large becomes a dead letter right here: its text never leaves the server, and is null below.
-- The first row tells the server's time; enqueued_at stays text, because hardly anybody looks at it.
WITH popped AS MATERIALIZED (
    SELECT msg_id, read_ct, enqueued_at, message::text AS text FROM pgmq.pop('model_routing_decisions', %(batch_size)s)
), too_large AS (
    INSERT INTO dead_letters (queue_name, msg_id, enqueued_at, message, reason, field)
    SELECT
        'model_routing_decisions', msg_id, enqueued_at, text,
        format('message: found %%s bytes, expected at most %%s bytes', octet_length(text), %(max_bytes)s::integer), 'message'
    FROM popped
    WHERE octet_length(text) > %(max_bytes)s
)
SELECT
    msg_id,
    enqueued_at::text,
    CASE WHEN octet_length(text) <= %(max_bytes)s THEN text END,
    octet_length(text) > %(max_bytes)s AS is_too_large,
    read_ct,
    CASE WHEN row_number() OVER () = 1 THEN clock_timestamp() END
FROM popped;
