-- When the oldest open session of an experiment began; null without any. Reads its open sessions, by the primary key.
SELECT min(first_at) FROM public.experiment_sessions WHERE experiment_id = %(experiment_id)s;
