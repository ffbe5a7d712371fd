-- {role}: reads what dashboards show. It cannot read the other contents of events and messages: `extra`,
-- `user_model_request`, the text of dead letters, the queues; nor sessions, keys, users and the words of their feedback, nor the
-- entries of the configuration, which include keys: a view shows it models and rules.
{create_role};
GRANT USAGE ON SCHEMA public, centralcloud TO {role};
GRANT SELECT ON centralcloud.schema_revision, centralcloud.schema_compatibility TO {role};
GRANT SELECT ON
    dashboard_models_per_instance, dashboard_success_rates, dashboard_response_times, dashboard_hourly_performance,
    dashboard_late_and_lost_outcomes, routing_policies, model_selections, cost_budgets, escalation_roll_ups, roll_up_progress,
    model_routing_metrics, model_performance, model_scores, model_score_history, rule_scores, score_pins, score_holds,
    retired_models, learning_control, learning_runs, evidence, evidence_slices, dropped_metrics, dropped_evidence,
    task_types, task_evidence, dropped_task_evidence, model_task_scores,
    accounting, message_ids, findings, ingest_workers, instances, new_model_names, leases, server_clock, fleet_settings,
    operator_actions, request_plans, configuration_state, configuration_versions, model_health,
    target_health, spend_periods, spend_holders, spend_leases, spend_alerts, fleet_minutes, model_versions, model_changes,
    dashboard_configuration, experiment_progress, experiment_comparisons, experiment_results, experiment_verdicts,
    experiment_heartbeat
TO {role};
GRANT SELECT (
    id, timestamp, instance_id, complexity, model, provider, score, outcome, response_time_ms, capabilities_required,
    preference, created_at, decision_id, input_tokens, output_tokens, cost_usd, error_kind, task_type, propensity,
    score_version, slice_no, msg_id, first_of_decision, estimated_cost_usd, cost_nano_usd, reward, arm_share, feedback_until,
    attempt, estimated_ms, first_token_ms, complexity_level_10, request_id, workspace, worker, task_id, agent_type, policy,
    rule, finish_reason, classifier, model_version, experiment, arm
) ON routing_records TO {role};
GRANT SELECT (
    window_start, id, workspace, policy, worker, task_type, model_name, provider, requests, attempts, successes, failures, blameless,
    without_cost, response_time_count, response_time_sum_ms, input_tokens, output_tokens, timed_tokens, generation_ms,
    feedback_count, feedback_successes, feedback_reward, cost_nano_usd, complexity
) ON usage_roll_ups TO {role};
-- A view calls functions with the rights of its reader.
GRANT EXECUTE ON FUNCTION centralcloud.usage_key, centralcloud.calendar_period TO {role};
-- Numbers of the queue, which the role cannot read.
GRANT EXECUTE ON FUNCTION centralcloud.queue_summary TO {role};
-- The experiments, which are entries of the configuration.
GRANT EXECUTE ON FUNCTION centralcloud.current_experiments TO {role};
GRANT SELECT (
    request_id, created_at, success, learned, reward, instance_id, decision_id, model_name, complexity_level, workspace
) ON feedback TO {role};
GRANT SELECT (
    id, timestamp, task_type, complexity, selected_model, estimated_cost, actual_cost, execution_time, estimated_time, success,
    tokens_used, request_id, attempts, instance_id, decision_id, workspace, reward, finish_reason
) ON routing_decisions TO {role};
GRANT SELECT (
    id, queue_name, msg_id, enqueued_at, reason, field, created_at, resolution, resolved_at, replayed_msg_id
) ON dead_letters TO {role};
