-- Actions of operators, newest first. A filter that is null takes all. Served by the primary key.
SELECT id, at, who, via, source, action, subject, reason, before, after, version
FROM public.operator_actions
WHERE (%(subject)s::text IS NULL OR subject = %(subject)s OR starts_with(subject, %(subject)s || '/'))
  AND (%(action)s::text IS NULL OR action = %(action)s)
  AND at >= coalesce(%(since)s, '-infinity'::timestamptz)
ORDER BY id DESC
LIMIT %(limit)s;
