-- Deletes the roll-ups of hours that are rolled up again. Served by the primary key, which begins with window_start.
DELETE FROM public.model_performance WHERE window_start >= %(since)s AND window_start < %(until)s;
