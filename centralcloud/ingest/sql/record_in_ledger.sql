-- Adds the result of one batch to the message ledger, in the transaction of the batch. One row.
UPDATE public.accounting SET
    taken = taken + %(messages)s, records = records + %(records)s, duplicates = duplicates + %(duplicates)s,
    dead_letters = dead_letters + %(dead_letters)s;
