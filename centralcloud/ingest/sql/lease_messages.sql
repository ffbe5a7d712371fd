-- Leases the oldest visible messages: makes them invisible for some seconds, and counts the attempt (read_ct). Served by the
-- queue's primary key.
SELECT msg_id, read_ct FROM pgmq.read('model_routing_decisions', %(seconds)s, %(count)s) ORDER BY msg_id;
