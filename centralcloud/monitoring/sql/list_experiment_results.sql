-- The results of an experiment (or null: of all) as of now. Served by the primary key.
SELECT experiment_id, treatment, metric, facts, updated_at
FROM public.experiment_results
WHERE %(experiment_id)s::text IS NULL OR experiment_id = %(experiment_id)s
ORDER BY experiment_id, treatment, metric;
