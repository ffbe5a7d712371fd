-- The newest 2,000 versions of the configuration: by the primary key, backwards.
SELECT config_version AS version, at, who, reason, entries
FROM public.configuration_versions
ORDER BY config_version DESC
LIMIT 2000;
