-- Revision 0001: the dashboard queries of the specification, corrected, as views. Rates are in percent, times in ms.

CREATE VIEW dashboard_models_per_instance AS
SELECT instance_id, model, count(*) AS usage_count
FROM routing_records
WHERE timestamp > now() - interval '1 day'
GROUP BY instance_id, model
ORDER BY usage_count DESC;

COMMENT ON VIEW dashboard_models_per_instance IS 'events per instance and model over the last day';

CREATE VIEW dashboard_success_rates AS
SELECT
    model_name,
    complexity_level,
    round(100.0 * success_count / nullif(success_count + failure_count, 0), 2) AS success_rate,
    round(100.0 * success_count / nullif(usage_count, 0), 2) AS success_per_use,
    usage_count
FROM model_routing_metrics
ORDER BY success_rate DESC NULLS LAST;

COMMENT ON VIEW dashboard_success_rates IS 'success_rate: percent of resolved decisions; success_per_use: percent of all decisions, as the specification prints it';

CREATE VIEW dashboard_response_times AS
SELECT
    model_name,
    complexity_level,
    round(avg(avg_response_time)::numeric, 0) AS avg_ms,
    max(avg_response_time) AS max_ms
FROM model_routing_metrics
WHERE avg_response_time IS NOT NULL
GROUP BY model_name, complexity_level
ORDER BY avg_ms DESC;
