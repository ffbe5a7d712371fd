-- finished_at is the time of publication by the server's clock, taken under the score lock, so later runs have later times.
INSERT INTO public.learning_runs (
    rule, through_slice, started_at, pairs_evaluated, pairs_changed, samples, excluded_instances
) VALUES (
    %(rule)s, %(through_slice)s, %(started_at)s, %(pairs_evaluated)s, %(pairs_changed)s, %(samples)s, %(excluded)s
)
RETURNING run_id, finished_at;
