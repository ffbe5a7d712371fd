-- Verdicts on experiments in a time, oldest first, the newest 1,000. Served by the primary key, backwards.
SELECT id, experiment_id, treatment, at, verdict, facts
FROM (
    SELECT * FROM public.experiment_verdicts
    WHERE at >= %(since)s AND at < %(until)s
    ORDER BY id DESC
    LIMIT 1000
) AS newest
ORDER BY id;
