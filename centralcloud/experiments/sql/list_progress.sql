-- The experiments that have evidence, and whether one has sessions. Reads a row an experiment, by the primary keys.
SELECT
    p.experiment_id, p.began,
    EXISTS (SELECT FROM public.experiment_sessions AS s WHERE s.experiment_id = p.experiment_id) AS has_sessions
FROM public.experiment_progress AS p;
