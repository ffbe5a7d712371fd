-- Keeps one leased message in the queue, invisible until the next attempt. Served by the primary key.
UPDATE pgmq.q_model_routing_decisions SET vt = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE msg_id = %(msg_id)s AND read_ct = %(read_ct)s;
