-- Removes one leased message from the queue. No row: the lease has expired, and another worker has leased the message.
-- Served by the primary key.
DELETE FROM pgmq.q_model_routing_decisions WHERE msg_id = %(msg_id)s AND read_ct = %(read_ct)s
RETURNING
    msg_id,
    enqueued_at::text AS enqueued_at,
    CASE WHEN octet_length(message::text) <= %(max_bytes)s THEN message::text END AS text,
    octet_length(message::text) AS size,
    clock_timestamp() AS now;
