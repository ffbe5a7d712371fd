-- Whether the newest record arrived within an hour, with a time that the server's clock accepted. No row without records.
-- Served by the primary key of each partition.
SELECT
    created_at > %(now)s - interval '1 hour' AND created_at < %(now)s + interval '5 minutes'
    AND (extra ? 'event.timestamp') IS NOT TRUE AS agrees
FROM public.routing_records ORDER BY id DESC LIMIT 1;
