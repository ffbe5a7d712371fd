-- The configuration after a version, and the posted health after one, as JSON text. One row.
SELECT centralcloud.configuration_since(%(after_version)s, %(after_health)s)::text;
