-- The ledger, and the counts of the tables. Counts whole tables: for `verify` only.
SELECT
    a.taken, a.records, a.duplicates, a.dead_letters, a.dead_letters_replayed, a.dead_letters_discarded, a.purged,
    a.records_dropped,
    (SELECT count(*) FROM public.routing_records) AS records_kept,
    (SELECT count(*) FROM public.dead_letters WHERE resolution IS NULL) AS dead_letters_open,
    (SELECT count(*) FROM pgmq.q_model_routing_decisions) AS queued,
    (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM pgmq.q_model_routing_decisions_msg_id_seq) AS ids_drawn
FROM public.accounting a;
