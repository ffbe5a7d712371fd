-- Sets the status of one model in a new version of the configuration, and returns the version. Served by the primary key.
SELECT centralcloud.set_model_status(
    %(expected_version)s, %(model)s, %(status)s, %(who)s, %(via)s, %(source)s, %(reason)s
);
