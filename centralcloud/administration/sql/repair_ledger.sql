-- Adds to the ledger the difference that a recount found; ingest may have added to it meanwhile. One row.
UPDATE public.accounting SET taken = taken + %(taken)s, records = records + %(records)s, dead_letters = dead_letters + %(dead_letters)s;
