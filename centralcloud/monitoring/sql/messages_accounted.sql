-- Messages that have left the queue, and those in it. Counts the queue: about a second for ten million.
SELECT taken + purged + (SELECT count(*) FROM pgmq.q_model_routing_decisions) FROM public.accounting;
