-- Forgets sessions that are over. Served by the primary key.
DELETE FROM public.experiment_sessions WHERE experiment_id = %(experiment_id)s AND session_key = ANY (%(keys)s);
