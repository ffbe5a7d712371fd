-- Forgets some sessions of an experiment that has ended. Served by the primary key.
DELETE FROM public.experiment_sessions
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM public.experiment_sessions WHERE experiment_id = %(experiment_id)s LIMIT %(most)s
));
