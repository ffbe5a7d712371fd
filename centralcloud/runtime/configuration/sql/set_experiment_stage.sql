-- Replaces the stage of an experiment; returns the new version of the configuration.
SELECT centralcloud.set_experiment_stage(
    %(expected_version)s, %(experiment_id)s, %(stage)s::jsonb, %(who)s, %(via)s, %(source)s, %(reason)s
);
