-- Changes of an experiment, newest first, among the newest 20,000 actions. Served by the primary key, backwards; the log is short,
-- because people write it.
SELECT id, at, who, via, source, reason
FROM (SELECT * FROM public.operator_actions ORDER BY id DESC LIMIT 20000) AS newest
WHERE action = 'change_configuration' AND subject = %(subject)s
ORDER BY id DESC
LIMIT 200;
