-- The newest verdict on each experiment and each of its treatments, and all of the last day. Served by
-- idx_experiment_verdicts_experiment and the primary key: a few rows an experiment.
SELECT id, experiment_id, treatment, at, verdict, facts
FROM (
    SELECT
        each.*,
        row_number() OVER (PARTITION BY experiment_id, treatment ORDER BY id DESC) AS place
    FROM (SELECT * FROM public.experiment_verdicts ORDER BY id DESC LIMIT 2000) AS each
) AS ranked
WHERE place = 1 OR at > now() - interval '24 hours'
ORDER BY id DESC;
