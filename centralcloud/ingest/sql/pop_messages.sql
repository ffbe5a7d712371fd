-- Removes the oldest visible messages from the queue, except those that other transactions hold: as pgmq.pop, but bounded in
-- bytes, too. Served by the primary key, then by the row's address.
--
-- The first bound is cheap: the stored size, which is in the row itself. A compressed value counts eight times: it becomes up to
-- ninety times as long, five times on average. Messages beyond the bound stay in the queue; the first is always removed.
-- The second bound is exact: if the messages as text have more bytes than the client can take, their texts are not sent, and the
-- client rolls back and takes fewer.
-- A message that is too large becomes a dead letter here, and is only counted: its text is not sent to the client either.
-- Returns one row of arrays, which is faster than rows. enqueued_at stays text, because only dead letters use it.
WITH oldest AS MATERIALIZED (
    SELECT
        ctid AS address,
        pg_column_size(message) * CASE WHEN pg_column_compression(message) IS NULL THEN 1 ELSE 8 END AS stored_bytes
    FROM pgmq.q_model_routing_decisions
    WHERE vt <= clock_timestamp() ORDER BY msg_id LIMIT %(max_messages)s FOR UPDATE SKIP LOCKED
), popped AS MATERIALIZED (
    DELETE FROM pgmq.q_model_routing_decisions WHERE ctid = ANY (ARRAY(
        SELECT address
        FROM (
            SELECT address, sum(stored_bytes) OVER (ROWS UNBOUNDED PRECEDING) - stored_bytes AS bytes_before FROM oldest
        ) AS summed
        WHERE coalesce(bytes_before, 0) < %(max_stored_bytes)s
    ))
    RETURNING msg_id, read_ct, enqueued_at, message::text AS text
), too_large AS (
    INSERT INTO public.dead_letters (queue_name, msg_id, enqueued_at, message, reason, field)
    SELECT
        'model_routing_decisions', msg_id, enqueued_at, text,
        format(
            'message: found %%s bytes, expected at most %%s bytes', octet_length(text), %(max_message_bytes)s::integer
        ), 'message'
    FROM popped
    WHERE octet_length(text) > %(max_message_bytes)s
    RETURNING msg_id
), total AS MATERIALIZED (
    SELECT
        (SELECT count(*) FROM oldest) AS found,
        count(*) AS popped,
        count(*) FILTER (WHERE read_ct > 0) AS attempted_before,
        count(*) FILTER (WHERE octet_length(text) > %(max_message_bytes)s) AS too_large,
        coalesce(sum(octet_length(text)) FILTER (WHERE octet_length(text) <= %(max_message_bytes)s), 0)::bigint AS bytes
    FROM popped
)
SELECT
    array_agg(msg_id) AS msg_ids,
    array_agg(enqueued_at::text) AS enqueued_at,
    array_agg(text) AS texts,
    (SELECT found FROM total) AS found,
    (SELECT popped FROM total) AS popped,
    (SELECT bytes FROM total) AS bytes,
    (SELECT too_large FROM total) AS too_large,
    (SELECT array_agg(msg_id) FROM too_large) AS too_large_ids,
    (SELECT attempted_before FROM total) AS attempted_before,
    clock_timestamp() AS now,
    extract(epoch FROM clock_timestamp() - min(enqueued_at))::double precision AS lag_seconds
FROM popped
WHERE octet_length(text) > %(max_message_bytes)s IS NOT TRUE AND (SELECT bytes FROM total) <= %(max_bytes)s;
