-- Actions of operators on scores and models in a time, oldest first, the newest 200. Served by the primary key, backwards.
SELECT at, who, action, subject, reason
FROM (
    SELECT id, at, who, action, subject, reason
    FROM public.operator_actions
    WHERE at >= %(since)s AND at < %(until)s AND action = ANY (%(actions)s)
    ORDER BY id DESC
    LIMIT 200
) AS newest
ORDER BY id;
