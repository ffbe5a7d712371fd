-- Revision 0021, taken back: code of older revisions reads models, endpoints and keys alone, and refuses a configuration with others.
SELECT centralcloud.write_configuration(
    (SELECT config_version FROM configuration_state),
    (
        SELECT coalesce(jsonb_agg(jsonb_build_object('kind', kind, 'id', id, 'body', NULL)), '[]')
        FROM configuration_entries
        WHERE kind NOT IN ('model', 'endpoint', 'key') AND body IS NOT NULL
    ),
    'migration', 'cli', 'revision 0021', 'taken back: older code cannot read these kinds'
);
COMMENT ON COLUMN configuration_entries.kind IS 'model, endpoint or key';
