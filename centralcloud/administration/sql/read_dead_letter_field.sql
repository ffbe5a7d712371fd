-- One field of an open dead letter's message, as JSON text, and when the message was queued; null without the field. No row: it is
-- not open, or has no message. Served by the primary key.
SELECT (message::jsonb #> %(path)s::text[])::text AS value, enqueued_at
FROM public.dead_letters
WHERE id = %(id)s AND resolution IS NULL AND message IS NOT NULL;
