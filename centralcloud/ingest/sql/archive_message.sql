-- Dead-letters a message that PostgreSQL cannot convert to text (numbers with huge exponents: more than a gigabyte of digits).
-- The message moves to pgmq's archive, and the dead letter says so. Served by the primary key.
WITH kept AS MATERIALIZED (
    SELECT msg_id, enqueued_at FROM pgmq.q_model_routing_decisions
    WHERE msg_id = %(msg_id)s AND read_ct = %(read_ct)s
    FOR UPDATE
), stored AS (
    INSERT INTO public.dead_letters (queue_name, msg_id, enqueued_at, message, reason, field)
    SELECT
        'model_routing_decisions', msg_id, enqueued_at, NULL,
        %(reason)s || '; the message is kept in pgmq.a_model_routing_decisions', %(field)s
    FROM kept
    WHERE pgmq.archive('model_routing_decisions', msg_id)
    RETURNING id
)
SELECT (SELECT count(*) FROM kept) AS written, (SELECT count(*) FROM stored) AS stored;
