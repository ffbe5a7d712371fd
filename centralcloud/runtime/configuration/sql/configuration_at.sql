-- The entries of the configuration as they were at a version, as JSON text. One row.
SELECT centralcloud.configuration_at(%(version)s)::text;
