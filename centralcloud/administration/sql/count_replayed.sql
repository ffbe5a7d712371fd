-- Once for all dead letters of a transaction, at its end: ingest waits for this row.
UPDATE public.accounting SET dead_letters_replayed = dead_letters_replayed + %(sent)s;
