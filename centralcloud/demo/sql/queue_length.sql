-- Number of events in the queue.
SELECT count(*) FROM pgmq.q_model_routing_decisions;
