-- Dead letters, newest first. A filter that is null takes all. With a time, served by the index on created_at; with ids, by
-- the primary key.
SELECT id, created_at, msg_id, enqueued_at, field, reason, resolution, resolved_at, replayed_msg_id,
    CASE WHEN %(with_message)s THEN message END AS message
FROM public.dead_letters
WHERE (%(ids)s::bigint[] IS NULL OR id = ANY (%(ids)s::bigint[]))
  AND (%(field)s::text IS NULL OR field = %(field)s)
  AND (%(reason)s::text IS NULL OR position(lower(%(reason)s) IN lower(reason)) > 0)
  AND created_at >= coalesce(%(since)s, '-infinity'::timestamptz)
  AND created_at < coalesce(%(until)s, 'infinity'::timestamptz)
  AND (%(with_resolved)s OR resolution IS NULL)
ORDER BY id DESC
LIMIT %(limit)s;
