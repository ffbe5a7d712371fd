-- Adds the result of one batch to the message ledger, and the ids of its messages to those that left the queue, in the transaction
-- of the batch. One row of the ledger, locked first by every transaction, and one for each 10,000 ids. Served by primary keys.
WITH ledger AS (
    UPDATE public.accounting SET
        taken = taken + %(messages)s, records = records + %(records)s, duplicates = duplicates + %(duplicates)s,
        dead_letters = dead_letters + %(dead_letters)s, counted_records = counted_records + %(records)s,
        successes = successes + %(successes)s, failures = failures + %(failures)s, blameless = blameless + %(blameless)s,
        cost_nano_usd = cost_nano_usd + %(cost_nano_usd)s
    RETURNING only_row
)
INSERT INTO public.message_ids AS m (block, handled)
SELECT block, range_agg(int8range(greatest(first_id, block * 10000), least(last_id, block * 10000 + 9999), '[]'))
FROM ledger
CROSS JOIN unnest(%(first_ids)s::bigint[], %(last_ids)s::bigint[]) AS run (first_id, last_id)
CROSS JOIN generate_series(first_id / 10000, last_id / 10000) AS block
GROUP BY block
ORDER BY block
ON CONFLICT (block) DO UPDATE SET handled = m.handled + excluded.handled, last_at = excluded.last_at;
