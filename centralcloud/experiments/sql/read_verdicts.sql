-- The verdicts on an experiment, or on all, oldest first. Served by idx_experiment_verdicts_experiment.
SELECT id, experiment_id, treatment, at, verdict, facts
FROM public.experiment_verdicts
WHERE %(experiment_id)s::text IS NULL OR experiment_id = %(experiment_id)s
ORDER BY id;
