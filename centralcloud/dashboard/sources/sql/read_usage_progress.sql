-- Through when the sums of use have the records, and how often another model was called after a failure within the last 24 hours:
-- one row, and a range of the primary key of escalation_roll_ups.
SELECT
    (SELECT rolled_up_until FROM public.roll_up_progress) AS until,
    (SELECT coalesce(sum(requests), 0) FROM public.escalation_roll_ups WHERE window_start > now() - interval '24 hours')::bigint
        AS escalations;
