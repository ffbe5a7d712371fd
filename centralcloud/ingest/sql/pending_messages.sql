-- Whether a message is visible, also one that another consumer's open transaction holds, or is leased or put off and will be
-- visible again soon. Served by the index on vt.
SELECT EXISTS (SELECT FROM pgmq.q_model_routing_decisions WHERE vt <= now()) OR EXISTS (
    SELECT FROM pgmq.q_model_routing_decisions
    WHERE vt > now() AND vt < now() + interval '1 minute' AND read_ct > 0
);
