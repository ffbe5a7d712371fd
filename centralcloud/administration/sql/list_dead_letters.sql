-- A page of dead letters, newest first: at most `limit`, and of those as many as have max_bytes of messages, but at least one. A
-- filter that is null takes all; `before` is the id after which the page begins. With a time, served by the index on created_at;
-- with ids and for the next page, by the primary key.
WITH page AS (
    SELECT * FROM public.dead_letters
    WHERE (%(ids)s::bigint[] IS NULL OR id = ANY (%(ids)s::bigint[]))
      AND (%(field)s::text IS NULL OR field = %(field)s)
      AND (%(reason)s::text IS NULL OR position(lower(%(reason)s) IN lower(reason)) > 0)
      AND created_at >= coalesce(%(since)s, '-infinity'::timestamptz)
      AND created_at < coalesce(%(until)s, 'infinity'::timestamptz)
      AND (%(with_resolved)s OR resolution IS NULL)
      AND id < coalesce(%(before)s, 9223372036854775807)
    ORDER BY id DESC
    LIMIT %(limit)s
), summed AS (
    SELECT *, coalesce(octet_length(message), 0) AS size,
        sum(coalesce(octet_length(message), 0)) OVER (ORDER BY id DESC ROWS UNBOUNDED PRECEDING) AS total
    FROM page
)
SELECT id, created_at, msg_id, enqueued_at, field, reason, resolution, resolved_at, replayed_msg_id,
    CASE WHEN %(with_message)s THEN message END AS message
FROM summed
WHERE NOT %(with_message)s OR total - size < %(max_bytes)s
ORDER BY id DESC;
