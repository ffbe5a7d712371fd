-- The version of the configuration. One row.
SELECT config_version FROM public.configuration_state;
