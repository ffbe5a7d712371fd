-- What Grafana may read, for the owner of the database to run after every migration. The role must be there:
-- CREATE ROLE grafana LOGIN PASSWORD '...' CONNECTION LIMIT 10
-- Nothing of a routing event itself, and no message of a dead letter.
GRANT USAGE ON SCHEMA public TO grafana;
GRANT SELECT ON
    dashboard_models_per_instance, dashboard_success_rates, dashboard_response_times, dashboard_hourly_performance,
    model_scores, model_score_history, instances, findings
TO grafana;
GRANT SELECT (id, created_at, field, reason, resolution, resolved_at) ON dead_letters TO grafana;
