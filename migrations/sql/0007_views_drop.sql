-- Revision 0007, taken back: usage_count of dashboard_models_per_instance is the number of events again.
CREATE OR REPLACE VIEW dashboard_models_per_instance AS
SELECT instance_id, model, count(*) AS usage_count
FROM routing_records
WHERE timestamp > now() - interval '1 day'
GROUP BY instance_id, model
ORDER BY usage_count DESC;

COMMENT ON VIEW dashboard_models_per_instance IS 'events per instance and model over the last day';
