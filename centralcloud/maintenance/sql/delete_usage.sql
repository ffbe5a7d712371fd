-- Deletes the sums of quarter-hours that are summed again. Served by the primary keys, which begin with window_start.
WITH escalations AS (
    DELETE FROM public.escalation_roll_ups WHERE window_start >= %(since)s AND window_start < %(until)s
)
DELETE FROM public.usage_roll_ups WHERE window_start >= %(since)s AND window_start < %(until)s;
