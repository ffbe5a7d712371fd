-- Revision 0021: the policies as the table that the specification has. Expands only: older workers use none of it.

COMMENT ON COLUMN configuration_entries.kind IS 'model, endpoint, key, policy, task, rule, agent, workspace or budget';

-- A policy that was removed and made again begins anew. Served by the primary keys and idx_configuration_history_entry.
CREATE VIEW routing_policies AS
SELECT
    encode(substring(sha256(convert_to('routing_policies/' || entry.id, 'UTF8')) FOR 16), 'hex')::uuid AS id,
    entry.id::varchar(50) AS name,
    entry.body ->> 'description' AS description,
    entry.body AS policy_config,
    (entry.body ->> 'is_active')::boolean AS is_active,
    (
        SELECT min(version.at)
        FROM configuration_history AS history
        JOIN configuration_versions AS version USING (config_version)
        WHERE history.kind = 'policy' AND history.id = entry.id AND history.config_version > coalesce((
            SELECT max(removed.config_version)
            FROM configuration_history AS removed
            WHERE removed.kind = 'policy' AND removed.id = entry.id AND removed.body IS NULL
        ), 0)
    ) AS created_at,
    (SELECT version.at FROM configuration_versions AS version WHERE version.config_version = entry.config_version) AS updated_at
FROM configuration_entries AS entry
WHERE entry.kind = 'policy' AND entry.body IS NOT NULL;
COMMENT ON VIEW routing_policies IS 'the policies of the configuration; id is derived from the name';
