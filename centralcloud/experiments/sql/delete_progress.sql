-- Forgets all evidence about experiments. Served by the primary key.
DELETE FROM public.experiment_progress WHERE experiment_id = ANY (%(experiment_ids)s);
