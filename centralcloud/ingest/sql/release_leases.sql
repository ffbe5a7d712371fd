-- Releases leases that were not used: the messages are visible again, and the attempt does not count. Served by the
-- primary key.
UPDATE pgmq.q_model_routing_decisions q SET vt = clock_timestamp(), read_ct = q.read_ct - 1
FROM unnest(%(msg_ids)s::bigint[], %(read_cts)s::integer[]) AS lease (msg_id, read_ct)
WHERE q.msg_id = lease.msg_id AND q.read_ct = lease.read_ct;
