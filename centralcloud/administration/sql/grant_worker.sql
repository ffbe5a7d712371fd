-- {role}: `centralcloud run` and the commands of operators, except `migrate` and `grants`. It owns nothing: partitions are
-- created and dropped by functions that run as their owner.
{create_role};
GRANT USAGE ON SCHEMA public, centralcloud, pgmq TO {role};
GRANT SELECT ON centralcloud.schema_revision, centralcloud.schema_compatibility TO {role};
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA centralcloud TO {role};
-- The configuration, keys included, is changed by a role of its own, and only gateways and that role read its entries.
REVOKE EXECUTE ON FUNCTION
    centralcloud.configuration_since, centralcloud.lock_configuration, centralcloud.write_configuration, centralcloud.report_model_health,
    centralcloud.configuration_at, centralcloud.configuration_changes, centralcloud.set_model_status,
    centralcloud.experiments_ever, centralcloud.models_heard_of
FROM {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON
    {tables}
TO {role};
REVOKE ALL ON configuration_entries, configuration_history FROM {role};
GRANT SELECT ON
    {read_only_tables}
TO {role};
-- The log of operators' actions, and the verdicts of experiments: added to, and never changed.
GRANT SELECT, INSERT ON
    {append_only_tables}
TO {role};
GRANT SELECT ON
    database_generation, evidence_of_records, dashboard_models_per_instance, dashboard_success_rates, dashboard_response_times,
    dashboard_hourly_performance, dashboard_late_and_lost_outcomes, routing_decisions, routing_policies, model_selections,
    cost_budgets, dashboard_configuration
TO {role};
GRANT USAGE ON SEQUENCE model_score_version TO {role};
GRANT SELECT ON SEQUENCE routing_records_id_seq, pgmq.q_model_routing_decisions_msg_id_seq TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON pgmq.q_model_routing_decisions, pgmq.q_model_score_updates TO {role};
GRANT SELECT, INSERT ON pgmq.a_model_routing_decisions TO {role};
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pgmq TO {role};
