-- Forgets the open sessions of experiments that have ended. Served by the primary key.
DELETE FROM public.experiment_sessions WHERE experiment_id = ANY (%(experiment_ids)s);
