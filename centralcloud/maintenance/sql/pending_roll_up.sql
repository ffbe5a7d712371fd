-- From when to when there is something to roll up. The newest rolled-up hour and the one before it are done again: events of
-- theirs may have come in since. Never before the oldest record: what retention has dropped stays rolled up. Nor from after now,
-- should the clock have been ahead. The oldest record is the one with the smallest id, by the primary key of each partition.
SELECT
    least(
        date_trunc('hour', now(), 'UTC'),
        greatest(
            date_trunc('hour', oldest.created_at, 'UTC'),
            (SELECT max(window_start) - interval '1 hour' FROM model_performance WHERE window_start <= now())
        )
    ),
    date_trunc('hour', now(), 'UTC') + interval '1 hour'
FROM (SELECT created_at FROM routing_records ORDER BY id LIMIT 1) AS oldest;
