-- The verdicts on an experiment, oldest first. Served by idx_experiment_verdicts_experiment.
SELECT id, treatment, at, verdict, facts FROM public.experiment_verdicts WHERE experiment_id = %(experiment_id)s ORDER BY id;
