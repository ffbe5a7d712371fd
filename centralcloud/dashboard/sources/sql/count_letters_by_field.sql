-- Open dead letters by the field that was refused, most first. No index serves this: the whole table is read, without the texts of
-- the messages. It holds what could not be ingested and was not replayed or discarded, and those resolved lately.
SELECT
    field,
    count(*)::bigint AS letters,
    (count(*) FILTER (WHERE created_at > now() - interval '1 hour'))::bigint AS new,
    min(created_at) AS oldest_at,
    max(created_at) AS newest_at,
    max(id) AS newest_id,
    (array_agg(reason ORDER BY id DESC))[1] AS reason
FROM public.dead_letters
WHERE resolution IS NULL
GROUP BY field
ORDER BY letters DESC, field
LIMIT 100;
