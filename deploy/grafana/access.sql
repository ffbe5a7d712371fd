-- Rights of Grafana. The owner of the database runs this after every migration. The role must exist:
-- CREATE ROLE grafana LOGIN PASSWORD '...' CONNECTION LIMIT 10
-- Grafana can read neither routing events nor the messages of dead letters.
GRANT USAGE ON SCHEMA public TO grafana;
GRANT SELECT ON
    dashboard_models_per_instance, dashboard_success_rates, dashboard_response_times, dashboard_hourly_performance,
    model_scores, model_score_history, instances, findings
TO grafana;
GRANT SELECT (id, created_at, field, reason, resolution, resolved_at) ON dead_letters TO grafana;
