-- The newest id that the queue has given out. Only the sequence knows those that are nowhere.
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM pgmq.q_model_routing_decisions_msg_id_seq;
