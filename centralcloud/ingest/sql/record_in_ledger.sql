-- Keeps the accounts of one batch, in its transaction. One row.
UPDATE accounting SET
    taken = taken + %(messages)s, records = records + %(records)s, duplicates = duplicates + %(duplicates)s,
    dead_letters = dead_letters + %(dead_letters)s;
