-- Revision 0007: usage_count of dashboard_models_per_instance is the number of decisions, as everywhere; it was the number of
-- events. Decisions with an id are counted by their first event. Events without an id are counted for each complexity as in
-- model_routing_metrics: the greater of routed and resolved. Reads the records of the last day, by
-- idx_routing_records_timestamp.
CREATE OR REPLACE VIEW dashboard_models_per_instance AS
SELECT instance_id, model, sum(linked + greatest(unlinked_routed, unlinked_resolved))::bigint AS usage_count
FROM (
    SELECT
        instance_id,
        model,
        count(*) FILTER (WHERE first_of_decision) AS linked,
        count(*) FILTER (WHERE decision_id IS NULL AND outcome = 'routed') AS unlinked_routed,
        count(*) FILTER (WHERE decision_id IS NULL AND outcome <> 'routed') AS unlinked_resolved
    FROM routing_records
    WHERE timestamp > now() - interval '1 day'
    GROUP BY instance_id, model, complexity
) AS pair
GROUP BY instance_id, model
ORDER BY usage_count DESC;

COMMENT ON VIEW dashboard_models_per_instance IS 'decisions per instance and model over the last day';
