-- The gateways that have answered within the last five minutes, with their requests of that time, and the version of the
-- configuration that the newest plan of each names. Served by idx_routing_records_request_id, as in sum_requests.sql: the newest
-- 50,000 events at most; plans and instances by their primary keys.
WITH records AS MATERIALIZED (
    SELECT request_id, instance_id, attempt, outcome, created_at
    FROM public.routing_records
    WHERE request_id >= (lpad(to_hex((1000 * extract(epoch FROM now() - interval '15 minutes'))::bigint), 12, '0') || repeat('0', 20))::uuid
        AND request_id < (lpad(to_hex((1000 * extract(epoch FROM now() + interval '1 hour'))::bigint), 12, '0') || repeat('0', 20))::uuid
        AND created_at > now() - interval '15 minutes'
    ORDER BY request_id DESC
    LIMIT 50000
), answering AS (
    SELECT
        instance_id AS gateway,
        count(*) FILTER (WHERE attempt = 1 AND outcome = 'routed') AS requests,
        max(created_at) AS last_at,
        max(request_id::text) FILTER (WHERE attempt = 1 AND outcome = 'routed')::uuid AS newest
    FROM records
    WHERE created_at > now() - interval '5 minutes'
    GROUP BY instance_id
), covered AS (
    -- Less than five minutes where the newest events are of less.
    SELECT
        CASE
            WHEN count(*) = 50000 THEN least(300, greatest(1, extract(epoch FROM now() - min(created_at))))
            ELSE 300
        END::double precision AS seconds
    FROM records
)
SELECT
    gateway, requests, last_at,
    -- Less for a gateway that is younger, too; a few requests of its first seconds are not yet a rate.
    least(covered.seconds, greatest(60, coalesce(extract(epoch FROM now() - i.first_seen_at), 300)))::double precision AS seconds,
    CASE WHEN jsonb_typeof(p.plan -> 'config_version') = 'number' THEN (p.plan ->> 'config_version')::numeric::bigint END AS config_version
FROM answering
CROSS JOIN covered
LEFT JOIN public.request_plans AS p ON p.request_id = answering.newest
LEFT JOIN public.instances AS i ON i.instance_id = answering.gateway
ORDER BY requests DESC, gateway
LIMIT 500;
