-- {role}: reads and changes the configuration, keys included, and nothing else; no table and no queue.
{create_role};
GRANT USAGE ON SCHEMA centralcloud TO {role};
GRANT EXECUTE ON FUNCTION
    centralcloud.configuration_since, centralcloud.lock_configuration, centralcloud.write_configuration,
    centralcloud.report_model_health, centralcloud.epoch, centralcloud.configuration_at, centralcloud.configuration_changes,
    centralcloud.experiments_ever, centralcloud.experiment_report, centralcloud.models_heard_of, centralcloud.scope_traffic
TO {role};
