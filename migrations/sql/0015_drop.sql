-- Revision 0015, taken back. The log keeps the actions that came through the programming interface.
DROP FUNCTION
    centralcloud.report_model_health, centralcloud.write_configuration, centralcloud.lock_configuration,
    centralcloud.configuration_since;
DROP TABLE model_health, configuration_history, configuration_entries, configuration_versions, configuration_state;
ALTER TABLE operator_actions DROP CONSTRAINT operator_actions_via_check;
ALTER TABLE operator_actions ADD CONSTRAINT operator_actions_via_check CHECK (via IN ('cli', 'web')) NOT VALID;
COMMENT ON COLUMN operator_actions.via IS 'cli: a command; web: a page';
