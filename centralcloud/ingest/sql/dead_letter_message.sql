-- Makes one leased message a dead letter, without sending its text to the client. Served by the primary key.
WITH deleted AS (
    DELETE FROM pgmq.q_model_routing_decisions WHERE msg_id = %(msg_id)s AND read_ct = %(read_ct)s
    RETURNING msg_id, enqueued_at, message::text AS text
), stored AS (
    INSERT INTO public.dead_letters (queue_name, msg_id, enqueued_at, message, reason, field)
    SELECT 'model_routing_decisions', msg_id, enqueued_at, text, %(reason)s, %(field)s FROM deleted
    RETURNING id
)
SELECT (SELECT count(*) FROM deleted) AS written, (SELECT count(*) FROM stored) AS stored;
