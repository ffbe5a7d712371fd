-- The calls of the last hour by target, and how they ended; likewise the newest 100,000 events at most, by
-- idx_routing_records_request_id: see sum_requests.sql. An outcome has its own error and times.
SELECT
    model,
    provider,
    count(*) FILTER (WHERE outcome <> 'routed') AS calls,
    count(*) FILTER (WHERE outcome = 'success') AS successes,
    count(*) FILTER (WHERE outcome = 'failure' AND error_kind IS DISTINCT FROM 'caller' AND error_kind IS DISTINCT FROM 'policy')
        AS failures,
    max(timestamp) FILTER (WHERE outcome <> 'routed') AS last_at
FROM (
    SELECT model, provider, outcome, error_kind, timestamp
    FROM public.routing_records
    WHERE request_id >= (lpad(to_hex((1000 * extract(epoch FROM now() - interval '1 hour'))::bigint), 12, '0') || repeat('0', 20))::uuid
        AND request_id < (lpad(to_hex((1000 * extract(epoch FROM now() + interval '1 hour'))::bigint), 12, '0') || repeat('0', 20))::uuid
        AND created_at > now() - interval '2 hours'
    ORDER BY request_id DESC
    LIMIT 100000
) AS record
GROUP BY model, provider
ORDER BY calls DESC, model, provider
LIMIT 500;
