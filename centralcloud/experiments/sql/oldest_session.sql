-- When the oldest open session of an experiment began, of those that began after a time; null without any. Reads its open
-- sessions, by the primary key.
SELECT min(first_at) FROM public.experiment_sessions WHERE experiment_id = %(experiment_id)s AND first_at >= %(began)s;
