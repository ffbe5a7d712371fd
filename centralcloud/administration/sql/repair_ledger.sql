-- Adds what a recount found missing to the accounts; ingest may have added to them in between. One row.
UPDATE accounting SET taken = taken + %(taken)s, records = records + %(records)s, dead_letters = dead_letters + %(dead_letters)s;
