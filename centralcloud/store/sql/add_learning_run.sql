INSERT INTO learning_runs (rule, through_slice, started_at, pairs_evaluated, pairs_changed, samples)
VALUES (%(rule)s, %(through_slice)s, %(started_at)s, %(pairs_evaluated)s, %(pairs_changed)s, %(samples)s)
RETURNING run_id;
