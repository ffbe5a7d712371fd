-- Gives the rows of some models the name of another one, and adds up those of equal keys. Served by the primary key.
WITH gone AS (
    DELETE FROM public.dropped_task_evidence WHERE model_name = ANY (%(old)s) RETURNING *
)
INSERT INTO public.dropped_task_evidence AS e (
    slice_no, model_name, complexity_level, task_no, instance_id, successes, failures, graded_successes, graded_reward,
    graded_reward_squares
)
SELECT
    slice_no, %(new)s, complexity_level, task_no, instance_id,
    sum(successes), sum(failures), sum(graded_successes), sum(graded_reward), sum(graded_reward_squares)
FROM gone
GROUP BY slice_no, complexity_level, task_no, instance_id
ON CONFLICT (model_name, complexity_level, slice_no, task_no, instance_id) DO UPDATE SET
    successes = e.successes + excluded.successes,
    failures = e.failures + excluded.failures,
    graded_successes = e.graded_successes + excluded.graded_successes,
    graded_reward = e.graded_reward + excluded.graded_reward,
    graded_reward_squares = e.graded_reward_squares + excluded.graded_reward_squares;
