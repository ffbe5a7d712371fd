-- The evidence about the treatments of an experiment. Served by the primary key.
SELECT treatment, state FROM public.experiment_comparisons WHERE experiment_id = %(experiment_id)s ORDER BY treatment;
