-- The experiments of the configuration, each with the version in which it changed last.
SELECT experiment_id AS id, body, config_version AS version FROM centralcloud.current_experiments();
