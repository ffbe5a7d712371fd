-- The version of the configuration, and the status of a model in it; null: it is not registered. Served by the primary keys.
SELECT
    config_version AS version,
    (SELECT body ->> 'status' FROM public.dashboard_configuration WHERE kind = 'model' AND id = %(model)s) AS status
FROM public.configuration_state;
