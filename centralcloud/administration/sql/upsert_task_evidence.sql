-- The evidence of one closed slice and key, as recounted. Served by the primary key.
INSERT INTO public.task_evidence AS e (
    slice_no, model_name, complexity_level, task_no, instance_id, successes, failures, graded_successes, graded_reward,
    graded_reward_squares
) VALUES (
    %(slice_no)s, %(model_name)s, %(complexity_level)s, %(task_no)s, %(instance_id)s, %(successes)s, %(failures)s,
    %(graded_successes)s, %(graded_reward)s, %(graded_reward_squares)s
)
ON CONFLICT (model_name, complexity_level, slice_no, task_no, instance_id) DO UPDATE SET
    successes = excluded.successes,
    failures = excluded.failures,
    graded_successes = excluded.graded_successes,
    graded_reward = excluded.graded_reward,
    graded_reward_squares = excluded.graded_reward_squares;
