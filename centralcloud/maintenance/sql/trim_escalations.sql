-- Deletes old sums of escalations. Served by the primary key, which begins with window_start.
DELETE FROM public.escalation_roll_ups WHERE window_start < %(as_of)s - %(retention)s::interval;
