-- How many dead letters are open, and the highest id, with the filters of list_dead_letters. Reads the whole table, which holds no more than its retention.
SELECT count(*) AS number, coalesce(max(id), 0)::bigint AS newest
FROM public.dead_letters
WHERE resolution IS NULL
  AND (%(ids)s::bigint[] IS NULL OR id = ANY (%(ids)s::bigint[]))
  AND (%(field)s::text IS NULL OR field = %(field)s)
  AND (%(reason)s::text IS NULL OR position(lower(%(reason)s) IN lower(reason)) > 0)
  AND created_at >= coalesce(%(since)s, '-infinity'::timestamptz)
  AND created_at < coalesce(%(until)s, 'infinity'::timestamptz);
