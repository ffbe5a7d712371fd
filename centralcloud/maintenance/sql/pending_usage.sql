-- The time whose sums of use must be made: from the first record on, and the last quarter-hour again, because a transaction may
-- have added records to it since. Never starts after now, in case the clock was ahead.
SELECT
    date_bin(
        '15 minutes',
        least(
            now(),
            coalesce(
                (SELECT rolled_up_until - interval '15 minutes' FROM public.roll_up_progress),
                -- Served by the primary key of each partition. Ids and times of arrival may differ a little in their order.
                (SELECT created_at - interval '1 day' FROM public.routing_records ORDER BY id LIMIT 1),
                now()
            )
        ),
        '2000-01-01 00:00:00+00'
    ) AS since,
    date_bin('15 minutes', now(), '2000-01-01 00:00:00+00') + interval '15 minutes' AS until;
