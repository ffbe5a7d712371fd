-- How far an experiment is folded. Its lock keeps a second daemon away until the transaction ends. Served by the primary key.
SELECT began, folded_until, prompted_id, step, retries, late_dropped, state, repeated_until, repeated_id
FROM public.experiment_progress
WHERE experiment_id = %(experiment_id)s
FOR UPDATE;
