-- Takes the oldest visible messages off the queue, skipping what others hold. Served by the queue's primary key.
SELECT msg_id, enqueued_at, message::text, clock_timestamp()
FROM pgmq.pop('model_routing_decisions', %(batch_size)s);
