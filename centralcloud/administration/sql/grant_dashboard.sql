-- {role}: reads what dashboards show. It cannot read the other contents of events and messages: `extra`,
-- `user_model_request`, the text of dead letters, the queues; nor the entries of the configuration, which include keys.
{create_role};
GRANT USAGE ON SCHEMA public, centralcloud TO {role};
GRANT SELECT ON centralcloud.schema_revision, centralcloud.schema_compatibility TO {role};
GRANT SELECT ON
    dashboard_models_per_instance, dashboard_success_rates, dashboard_response_times, dashboard_hourly_performance,
    dashboard_late_and_lost_outcomes,
    model_routing_metrics, model_performance, model_scores, model_score_history, rule_scores, score_pins, score_holds,
    retired_models, learning_control, learning_runs, evidence, evidence_slices, dropped_metrics, dropped_evidence,
    accounting, message_ids, findings, ingest_workers, instances, new_model_names, leases, server_clock, fleet_settings,
    operator_actions, configuration_state, configuration_versions, model_health
TO {role};
GRANT SELECT (
    id, timestamp, instance_id, complexity, model, provider, score, outcome, response_time_ms, capabilities_required,
    preference, created_at, decision_id, input_tokens, output_tokens, cost_usd, error_kind, task_type, propensity,
    score_version, slice_no, msg_id, first_of_decision
) ON routing_records TO {role};
GRANT SELECT (
    id, queue_name, msg_id, enqueued_at, reason, field, created_at, resolution, resolved_at, replayed_msg_id
) ON dead_letters TO {role};
