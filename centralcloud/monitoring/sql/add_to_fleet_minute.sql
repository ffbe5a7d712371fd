-- Adds a reading to the row of its minute: counts are added, unless they are not known (null), and the states are the newest. A cost
-- beyond a bigint counts as the greatest one. Served by the primary key.
INSERT INTO public.fleet_minutes AS m (
    minute, read_at, counted_seconds, ingested, successes, failures, blameless, cost_nano_usd, queue_messages,
    queue_oldest_seconds, dead_letters, instances, instances_behind, records_until, counted_until, successes_until,
    failures_until, blameless_until, cost_nano_usd_until
)
VALUES (
    %(added_minute)s, %(now)s, %(added_seconds)s, %(added_ingested)s, %(added_successes)s, %(added_failures)s,
    %(added_blameless)s, %(added_cost_nano_usd)s, %(queue_messages)s,
    %(queue_oldest_seconds)s, %(dead_letters)s, %(instances)s, %(instances_behind)s, %(records)s, %(counted)s, %(successes)s,
    %(failures)s, %(blameless)s, %(cost_nano_usd)s
)
ON CONFLICT (minute) DO UPDATE SET
    read_at = excluded.read_at,
    counted_seconds = m.counted_seconds + excluded.counted_seconds,
    ingested = coalesce(coalesce(m.ingested, 0) + excluded.ingested, m.ingested),
    successes = coalesce(coalesce(m.successes, 0) + excluded.successes, m.successes),
    failures = coalesce(coalesce(m.failures, 0) + excluded.failures, m.failures),
    blameless = coalesce(coalesce(m.blameless, 0) + excluded.blameless, m.blameless),
    cost_nano_usd = CASE
        WHEN excluded.cost_nano_usd IS NULL THEN m.cost_nano_usd
        ELSE least(coalesce(m.cost_nano_usd, 0)::numeric + excluded.cost_nano_usd, 9223372036854775807)
    END,
    queue_messages = excluded.queue_messages,
    queue_oldest_seconds = excluded.queue_oldest_seconds,
    dead_letters = excluded.dead_letters,
    instances = excluded.instances,
    instances_behind = excluded.instances_behind,
    records_until = excluded.records_until,
    counted_until = excluded.counted_until,
    successes_until = excluded.successes_until,
    failures_until = excluded.failures_until,
    blameless_until = excluded.blameless_until,
    cost_nano_usd_until = excluded.cost_nano_usd_until;
