-- The results of experiments as of now, and their verdicts, as JSON text; of one experiment or of all. One row.
SELECT centralcloud.experiment_report(%(experiment_id)s)::text;
