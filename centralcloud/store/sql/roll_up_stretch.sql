-- From when to when there is something to roll up. The newest rolled-up hour and the one before it are done again: events of
-- theirs may have come in since. Never before the oldest record: what retention has dropped stays rolled up. The minimum and
-- maximum of created_at come from the first and last records, which the primary key of each partition serves.
SELECT
    greatest(
        date_trunc('hour', oldest.created_at, 'UTC'),
        (SELECT max(window_start) - interval '1 hour' FROM model_performance)
    ),
    date_trunc('hour', now(), 'UTC') + interval '1 hour'
FROM (SELECT created_at FROM routing_records ORDER BY id LIMIT 1) AS oldest;
