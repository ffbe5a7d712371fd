-- Sends messages and notifies the workers.
SELECT
    (SELECT count(*) FROM pgmq.send_batch('model_routing_decisions', %(messages)s::jsonb[])),
    centralcloud.notify_decisions();
