-- Versions of models that providers were sent for the first time within the 15 minutes before an open finding about a model,
-- against the hour before these; and those that their answers named, served by idx_model_changes_created_at. Reads the newest 5,000
-- records of the model in each stretch, served by idx_routing_records_timestamp; at most 20 findings.
WITH open AS MATERIALIZED (
    SELECT finding_id, opened_at, opened_at - interval '15 minutes' AS from_at, details ->> 'model' AS model
    FROM public.findings
    WHERE closed_at IS NULL AND details ->> 'model' IS NOT NULL AND opened_at > now() - interval '7 days'
    ORDER BY traffic_share DESC NULLS FIRST, opened_at DESC, finding_id DESC
    LIMIT 20
)
SELECT open.finding_id, open.model, new.model_version AS version, new.at, false AS told
FROM open
CROSS JOIN LATERAL (
    SELECT model_version, min(timestamp) AS at
    FROM (
        SELECT r.model_version, r.timestamp
        FROM public.routing_records r
        WHERE r.timestamp BETWEEN open.from_at AND open.opened_at
            AND r.model = open.model AND r.model_version IS NOT NULL AND r.outcome = 'routed'
        ORDER BY r.timestamp DESC
        LIMIT 5000
    ) AS newest
    GROUP BY model_version
) AS new
WHERE EXISTS (
    SELECT FROM public.routing_records r
    WHERE r.timestamp BETWEEN open.from_at - interval '1 hour' AND open.from_at
            AND r.model = open.model AND r.model_version IS NOT NULL AND r.outcome = 'routed'
)
AND NOT EXISTS (
    SELECT FROM (
        SELECT r.model_version
        FROM public.routing_records r
        WHERE r.timestamp BETWEEN open.from_at - interval '1 hour' AND open.from_at
            AND r.model = open.model AND r.model_version IS NOT NULL AND r.outcome = 'routed'
        ORDER BY r.timestamp DESC
        LIMIT 5000
    ) AS before
    WHERE before.model_version = new.model_version
)
UNION ALL
SELECT open.finding_id, open.model, change.version_after, change.created_at, true
FROM open
JOIN public.model_changes change ON change.model_name = open.model
    AND change.created_at BETWEEN open.from_at AND open.opened_at AND change.version_after IS NOT NULL
ORDER BY 1, 4;
