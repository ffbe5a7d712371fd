-- The rule whose scores the last run published, or would have published. Served by the primary key.
SELECT rule FROM learning_runs ORDER BY run_id DESC LIMIT 1
