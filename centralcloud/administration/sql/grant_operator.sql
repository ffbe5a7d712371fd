-- {role}: the actions of operators on the dashboard, each with its row in the log: pin, unpin, roll back, freeze, replay and discard
-- dead letters, set the status of a model and the
-- stage of an experiment. It reads no event but dead letters. It cannot read keys and requests, nor change
-- budgets, keys, fleet settings and logins.
{create_role};
GRANT USAGE ON SCHEMA public, centralcloud, pgmq TO {role};
GRANT SELECT ON centralcloud.schema_revision, centralcloud.schema_compatibility TO {role};
-- Pins, rollbacks, freezing. A score that is published stays in the history.
GRANT SELECT ON model_routing_metrics, model_task_scores, rule_scores, retired_models, fleet_settings, configuration_state TO {role};
GRANT SELECT, INSERT, UPDATE ON model_scores, score_holds TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON score_pins TO {role};
GRANT SELECT, INSERT ON model_score_history, operator_actions TO {role};
GRANT SELECT, UPDATE (revision, frozen_at, frozen_reason) ON learning_control TO {role};
GRANT UPDATE (evidence_from, earlier_boundaries, state_payload, excluded_instances, recomputable) ON rule_scores TO {role};
GRANT USAGE ON SEQUENCE model_score_version TO {role};
-- A rollback closes the open slice, and gathers its evidence.
GRANT SELECT (id) ON routing_records TO {role};
GRANT SELECT ON evidence_of_records TO {role};
GRANT SELECT, INSERT, UPDATE (closed_at, gathered_at, latency_ref_ms, cost_ref_usd, by_task_type) ON evidence_slices TO {role};
GRANT INSERT ON evidence, task_evidence TO {role};
GRANT SELECT, INSERT ON task_types TO {role};
-- Dead letters.
GRANT SELECT, UPDATE (resolution, resolved_at, replayed_msg_id) ON dead_letters TO {role};
GRANT SELECT, UPDATE (dead_letters_replayed, dead_letters_discarded) ON accounting TO {role};
-- A message that is sent returns its id; nothing else of the queues is read.
GRANT INSERT, SELECT (msg_id) ON pgmq.q_model_routing_decisions, pgmq.q_model_score_updates TO {role};
GRANT EXECUTE ON FUNCTION centralcloud.notify_decisions, centralcloud.set_model_status TO {role};
-- Experiments: their stages, with a verdict, and nothing else of them.
GRANT EXECUTE ON FUNCTION centralcloud.current_experiments, centralcloud.set_experiment_stage TO {role};
GRANT SELECT ON experiment_progress, experiment_results, experiment_heartbeat TO {role};
GRANT SELECT, INSERT ON experiment_verdicts TO {role};
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pgmq TO {role};
