-- Takes one leased message off the queue. No row: the lease ran out, and somebody else has it. Served by the primary key.
DELETE FROM pgmq.q_model_routing_decisions WHERE msg_id = %(msg_id)s AND read_ct = %(read_ct)s
RETURNING
    msg_id,
    enqueued_at::text,
    CASE WHEN octet_length(message::text) <= %(max_bytes)s THEN message::text END,
    octet_length(message::text),
    clock_timestamp();
