-- Takes one message, which the transaction holds, off the queue; as pop_decisions does for a batch.
DELETE FROM pgmq.q_model_routing_decisions WHERE msg_id = %(msg_id)s
RETURNING
    msg_id,
    enqueued_at,
    CASE WHEN octet_length(message::text) <= %(max_bytes)s THEN message::text END,
    octet_length(message::text),
    clock_timestamp();
