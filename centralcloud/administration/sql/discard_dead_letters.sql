-- Gives open dead letters up. Served by the primary key.
WITH discarded AS (
    UPDATE dead_letters SET resolution = 'discarded', resolved_at = now()
    WHERE id = ANY (%(ids)s::bigint[]) AND resolution IS NULL
    RETURNING id
)
UPDATE accounting SET dead_letters_discarded = dead_letters_discarded + (SELECT count(*) FROM discarded)
RETURNING (SELECT count(*) FROM discarded);
