-- The models whose answers name several ids that alternate: within one stream, or between instances or providers, in 24 hours. One
-- row for each id and provider. Reads the streams that were seen of late, found by the brin index idx_model_versions_seen_at.
WITH seen AS MATERIALIZED (
    SELECT model_name AS model, provider, instance_id, version, newest, switches, switched_at
    FROM public.model_versions v
    WHERE seen_at > now() - interval '24 hours'
      AND NOT EXISTS (SELECT FROM public.retired_models r WHERE r.model_name = v.model_name)
), alternating AS (
    SELECT model
    FROM seen
    GROUP BY model
    HAVING count(DISTINCT version) FILTER (WHERE instance_id <> '') > 1
        OR bool_or(switches >= %(switches)s AND switched_at > now() - interval '24 hours')
), named AS (
    SELECT model, provider, instance_id, version FROM seen WHERE version IS NOT NULL
    UNION
    SELECT model, provider, instance_id, newest FROM seen
)
SELECT model, provider, version, count(*) FILTER (WHERE instance_id <> '') AS instances
FROM named JOIN alternating USING (model)
GROUP BY model, provider, version
ORDER BY model, provider, version;
