-- The models and providers of which an outcome carries another id than the one that counts, or one that does not count yet. Notes
-- when the others were seen, within an hour. Served by the primary key of each partition: the cost is that of the slices' own
-- records, each of which is read once. A late outcome says which version the model had, and not which it has.
WITH seen AS MATERIALIZED (
    SELECT model, provider, instance_id, model_version
    FROM public.routing_records
    WHERE id > %(after_record_id)s AND id <= %(through_record_id)s
      AND model_version IS NOT NULL AND outcome <> 'routed' AND created_at - timestamp <= interval '1 hour'
    GROUP BY model, provider, instance_id, model_version
), touched AS (
    UPDATE public.model_versions v SET seen_at = now()
    FROM (
        SELECT model, provider, instance_id FROM seen UNION SELECT model, provider, '' FROM seen
    ) AS stream
    WHERE v.model_name = stream.model AND v.provider = stream.provider AND v.instance_id = stream.instance_id
      AND v.seen_at < now() - interval '1 hour'
)
SELECT DISTINCT seen.model, seen.provider
FROM seen
LEFT JOIN public.model_versions v
    ON v.model_name = seen.model AND v.provider = seen.provider AND v.instance_id = seen.instance_id
LEFT JOIN public.model_versions fleet
    ON fleet.model_name = seen.model AND fleet.provider = seen.provider AND fleet.instance_id = ''
WHERE (v.version = seen.model_version AND v.newest = v.version AND fleet.version = seen.model_version
       AND fleet.newest = fleet.version) IS NOT TRUE
ORDER BY seen.model, seen.provider;
