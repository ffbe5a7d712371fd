-- Discards open dead letters; returns their ids. Locks them in the order of their ids, as a replay does. Served by the primary
-- key.
WITH open AS MATERIALIZED (
    SELECT id FROM public.dead_letters WHERE id = ANY (%(ids)s::bigint[]) AND resolution IS NULL ORDER BY id FOR UPDATE
), discarded AS (
    UPDATE public.dead_letters d SET resolution = 'discarded', resolved_at = now() FROM open WHERE d.id = open.id RETURNING d.id
)
UPDATE public.accounting SET dead_letters_discarded = dead_letters_discarded + (SELECT count(*) FROM discarded)
RETURNING (SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM discarded);
