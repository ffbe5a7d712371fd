-- Changes entries of the configuration; returns the new version.
SELECT centralcloud.write_configuration(
    %(expected_version)s, %(changes)s::jsonb, %(who)s, %(via)s, %(source)s, %(reason)s
);
