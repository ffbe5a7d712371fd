-- When the oldest open session of an experiment began, of those that began after a time; null without any. Served by
-- idx_experiment_sessions_open.
SELECT min(first_at) FROM public.experiment_sessions
WHERE experiment_id = %(experiment_id)s AND first_at >= %(began)s AND NOT has_ended;
