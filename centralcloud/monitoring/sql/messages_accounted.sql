-- Messages that have left the queue, and those in it; and when the server was started. Counts the queue: about a second for ten million.
SELECT
    taken + purged + (SELECT count(*) FROM pgmq.q_model_routing_decisions) AS messages,
    pg_postmaster_start_time() AS server_started
FROM public.accounting;
