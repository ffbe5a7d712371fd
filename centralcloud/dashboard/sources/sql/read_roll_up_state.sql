-- How far the hourly roll-ups go. Every record that arrived before `complete_until` is in them: the hour in which they were last
-- made has only a part of its records in them, as long as it runs. A transaction of ingest lasts 15 seconds at most. Without a
-- roll-up, `complete_until` is the begin of the oldest slice. Served by the primary keys of model_performance (its ends) and of
-- evidence_slices.
SELECT
    now() AS now,
    least(
        date_trunc('hour', now(), 'UTC'),
        coalesce(
            (
                SELECT date_trunc('hour', max(created_at) - interval '15 seconds', 'UTC') FROM public.model_performance
                WHERE window_start = (SELECT max(window_start) FROM public.model_performance WHERE window_start <= now())
                  AND created_at <= now()
            ),
            (SELECT date_trunc('hour', opened_at - interval '15 seconds', 'UTC') FROM public.evidence_slices ORDER BY slice_no LIMIT 1),
            date_trunc('hour', now(), 'UTC')
        )
    ) AS complete_until,
    (SELECT min(window_start) FROM public.model_performance) AS first_hour;
