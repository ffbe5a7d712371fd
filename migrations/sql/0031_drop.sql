-- Revision 0031, taken back. Older code refuses a configuration with experiments: they are removed, in a version of their own.
SELECT centralcloud.write_configuration(
    (SELECT config_version FROM configuration_state),
    (
        SELECT coalesce(jsonb_agg(jsonb_build_object('kind', kind, 'id', id, 'body', NULL)), '[]')
        FROM configuration_entries
        WHERE kind = 'experiment' AND body IS NOT NULL
    ),
    'migration', 'cli', 'revision 0031', 'taken back: older code cannot read experiments'
);
DROP FUNCTION centralcloud.experiment_report, centralcloud.experiments_ever, centralcloud.models_heard_of,
    centralcloud.scope_traffic, centralcloud.start_score_canary;
DROP FUNCTION centralcloud.current_experiments, centralcloud.set_experiment_stage;
DROP INDEX idx_routing_records_experiment;
DROP TABLE
    experiment_heartbeat, experiment_verdicts, experiment_results, experiment_sessions, experiment_comparisons, experiment_progress;
-- Rows of the daemon stay: the log is append-only.
ALTER TABLE operator_actions DROP CONSTRAINT operator_actions_via_check;
ALTER TABLE operator_actions ADD CONSTRAINT operator_actions_via_check CHECK (via IN ('cli', 'web', 'api')) NOT VALID;
COMMENT ON COLUMN operator_actions.via IS 'cli: a command; web: a page; api: a request to a gateway';
