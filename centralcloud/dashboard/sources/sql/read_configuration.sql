-- The newest version of the configuration: one row each, by the primary keys.
SELECT s.config_version, v.at, v.who, v.reason
FROM public.configuration_state s
LEFT JOIN public.configuration_versions v USING (config_version);
