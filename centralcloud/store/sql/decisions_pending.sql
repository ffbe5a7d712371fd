-- Whether a message is visible, also one that another consumer's open transaction holds, or is leased or put off and will be
-- visible again soon. The first is served by the index on vt; the second looks through what is left, which has a future vt.
SELECT EXISTS (SELECT FROM pgmq.q_model_routing_decisions WHERE vt <= clock_timestamp()) OR EXISTS (
    SELECT FROM pgmq.q_model_routing_decisions
    WHERE vt > clock_timestamp() AND vt < clock_timestamp() + interval '1 minute' AND read_ct > 0
);
