-- The transactions that are adding messages to the queue, or removing some: each has locked the table before it drew an id.
SELECT DISTINCT virtualtransaction
FROM pg_locks
WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND relation = 'pgmq.q_model_routing_decisions'::regclass
    AND pid IS DISTINCT FROM pg_backend_pid();
