-- Whether the queue has a message that is visible (another consumer's open transaction may hold it), or that is leased or
-- deferred and becomes visible within a minute. Served by the index on vt.
SELECT EXISTS (SELECT FROM pgmq.q_model_routing_decisions WHERE vt <= now()) OR EXISTS (
    SELECT FROM pgmq.q_model_routing_decisions
    WHERE vt > now() AND vt < now() + interval '1 minute' AND read_ct > 0
);
