-- Changes of an experiment by operators and the daemon, newest first, among the newest 20,000 actions, each with the status before
-- and after. Served by the primary key, backwards; the log is short, because it has no row for a request.
SELECT
    id, at, who, via, source, reason,
    before #>> ARRAY['entries', subject, 'stage', 'status'] AS before,
    after #>> ARRAY['entries', subject, 'stage', 'status'] AS after
FROM (SELECT * FROM public.operator_actions ORDER BY id DESC LIMIT 20000) AS newest
WHERE action = 'change_configuration' AND subject = 'experiment/' || %(experiment_id)s
ORDER BY id DESC
LIMIT 200;
