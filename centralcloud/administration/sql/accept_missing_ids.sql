-- Records the position of a verification: ids that are missing now are known from now on. One row, and one for each 10,000 ids
-- that have missing ones.
WITH position AS (
    UPDATE public.accounting SET
        verified_at = clock_timestamp(), verified_ids = %(ids_drawn)s, verified_unaccounted = %(unaccounted)s
    RETURNING only_row
)
INSERT INTO public.message_ids AS m (block, missing)
SELECT block, range_agg(ids * int8range(block * 10000, block * 10000 + 10000))
FROM position
CROSS JOIN unnest(%(missing)s::int8multirange) AS ids
CROSS JOIN generate_series(lower(ids) / 10000, (upper(ids) - 1) / 10000) AS block
GROUP BY block
ORDER BY block
ON CONFLICT (block) DO UPDATE SET missing = m.missing + excluded.missing;
