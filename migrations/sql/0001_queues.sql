-- Revision 0001: the two queues. A queue that is already there keeps its messages.
SELECT pgmq.create('model_routing_decisions');
SELECT pgmq.create('model_score_updates');

-- Every message is inserted and deleted once: vacuum must keep up with the queue, not with its average size.
ALTER TABLE pgmq.q_model_routing_decisions SET (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_insert_scale_factor = 0.01,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);
ALTER TABLE pgmq.q_model_score_updates SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);
