-- The newest change alarm of a pair: the success rates before and after the change, and how many seconds ago it was opened and
-- closed (null: it is open).
SELECT
    (details ->> 'before')::float8 AS before,
    (details ->> 'after')::float8 AS after,
    extract(epoch FROM clock_timestamp() - opened_at)::float8 AS opened_ago,
    extract(epoch FROM clock_timestamp() - closed_at)::float8 AS closed_ago
FROM public.findings
WHERE kind = 'change_alarm' AND subject = %(subject)s
ORDER BY finding_id DESC LIMIT 1;
