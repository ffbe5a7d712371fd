-- The entries of the configuration that a dashboard shows: no key, no endpoint, no workspace, and of a model only what names it.
CREATE VIEW dashboard_configuration AS
SELECT
    kind,
    id,
    CASE kind
        WHEN 'model' THEN jsonb_build_object(
            'name', body -> 'name', 'provider', body -> 'provider', 'modelType', body -> 'modelType',
            'status', coalesce(body -> 'status', '"active"')
        )
        ELSE body
    END AS body,
    config_version
FROM configuration_entries
WHERE kind IN ('model', 'rule') AND body IS NOT NULL;
COMMENT ON VIEW dashboard_configuration IS 'registered models by name, provider, type and status, and rules as they are, for dashboards';
