-- The newest change alarm of a pair: its message, and how many seconds ago it was opened and closed (null: it is open).
SELECT
    message,
    extract(epoch FROM clock_timestamp() - opened_at)::float8 AS opened_ago,
    extract(epoch FROM clock_timestamp() - closed_at)::float8 AS closed_ago
FROM findings
WHERE kind = 'change_alarm' AND subject = %(subject)s
ORDER BY finding_id DESC LIMIT 1;
