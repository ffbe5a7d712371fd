-- Whether a message is visible, also one that another consumer's open transaction holds. Served by the index on vt.
SELECT EXISTS (SELECT FROM pgmq.q_model_routing_decisions WHERE vt <= clock_timestamp());
