-- Whose scores were published last, or would have been. Served by the primary key.
SELECT rule FROM learning_runs ORDER BY run_id DESC LIMIT 1
