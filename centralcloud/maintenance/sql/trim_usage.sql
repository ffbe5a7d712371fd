-- Deletes old sums of use. Served by the primary key, which begins with window_start.
DELETE FROM public.usage_roll_ups WHERE window_start < %(as_of)s - %(retention)s::interval;
