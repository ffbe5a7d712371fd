-- Actions of operators of the last 31 days, the newest 2,000, oldest first: who acted on what. Served by the primary key, backwards.
SELECT id, at, action, subject
FROM (SELECT id, at, action, subject FROM public.operator_actions ORDER BY id DESC LIMIT 2000) AS newest
WHERE at > now() - interval '31 days'
ORDER BY id;
