-- Removes a group of leased messages from the queue, except those that another worker has leased since. If their texts have
-- more bytes than the client can take, none is sent, and the client rolls back. Served by the primary key.
WITH deleted AS MATERIALIZED (
    DELETE FROM pgmq.q_model_routing_decisions q
    USING unnest(%(msg_ids)s::bigint[], %(read_cts)s::integer[]) AS lease (msg_id, read_ct)
    WHERE q.msg_id = lease.msg_id AND q.read_ct = lease.read_ct
    RETURNING q.msg_id, q.enqueued_at::text AS enqueued_at, q.message::text AS text
), total AS MATERIALIZED (
    SELECT coalesce(sum(octet_length(text)), 0)::bigint AS bytes FROM deleted
)
SELECT msg_id, enqueued_at, CASE WHEN bytes <= %(max_bytes)s THEN text END AS text, bytes AS size, clock_timestamp() AS now
FROM deleted CROSS JOIN total
ORDER BY msg_id;
