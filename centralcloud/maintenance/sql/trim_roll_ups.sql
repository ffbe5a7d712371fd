-- Deletes old roll-ups. Served by the primary key, which begins with window_start.
DELETE FROM public.model_performance WHERE window_start < %(as_of)s - %(retention)s::interval;
