-- The evidence by task type that differs from a recount of the records, dropped ones included; null where one side has no row. Only
-- slices that were gathered by task type. On purpose not by the view evidence_of_records, as in recount_evidence.sql. Goes through
-- all records: for `verify` only.
WITH slice AS (
    SELECT generate_series(coalesce(merged_from, slice_no), slice_no) AS slice_no, slice_no AS merged_into
    FROM public.evidence_slices WHERE gathered_at IS NOT NULL AND by_task_type
), outcome AS (
    SELECT *, CASE WHEN outcome = 'success' THEN 1 ELSE 0 END AS success
    FROM public.routing_records
    WHERE task_type <> '' AND (outcome = 'success' OR outcome = 'failure' AND coalesce(error_kind NOT IN ('caller', 'policy'), true))
), counted AS (
    SELECT
        merged_into AS slice_no,
        model AS model_name,
        complexity AS complexity_level,
        coalesce(task_no, 0) AS task_no,
        instance_id,
        sum(success) AS successes,
        sum(1 - success) AS failures,
        count(reward) FILTER (WHERE success = 1) AS graded_successes,
        coalesce(sum(reward), 0) AS graded_reward,
        coalesce(sum(reward ^ 2), 0) AS graded_reward_squares
    FROM outcome JOIN slice USING (slice_no)
    LEFT JOIN (SELECT name, task_no FROM public.task_types) AS known ON known.name = outcome.task_type
    GROUP BY merged_into, model, complexity, coalesce(task_no, 0), instance_id
    UNION ALL
    SELECT
        slice_no, model_name, complexity_level, task_no, instance_id, successes, failures, graded_successes, graded_reward,
        graded_reward_squares
    FROM public.dropped_task_evidence
), recount AS (
    SELECT
        slice_no,
        model_name,
        complexity_level,
        task_no,
        instance_id,
        sum(successes)::bigint AS successes,
        sum(failures)::bigint AS failures,
        sum(graded_successes)::bigint AS graded_successes,
        sum(graded_reward) AS graded_reward,
        sum(graded_reward_squares) AS graded_reward_squares
    FROM counted
    GROUP BY slice_no, model_name, complexity_level, task_no, instance_id
), stored AS (
    SELECT
        slice_no, model_name, complexity_level, task_no, instance_id, successes, failures, graded_successes, graded_reward,
        graded_reward_squares
    FROM public.task_evidence
)
SELECT
    json_build_object(
        'slice_no', slice_no, 'model_name', model_name, 'complexity_level', complexity_level, 'task_no', task_no,
        'instance_id', instance_id
    ) AS key,
    CASE WHEN s.slice_no IS NOT NULL THEN to_json(s) END AS stored,
    CASE WHEN r.slice_no IS NOT NULL THEN to_json(r) END AS recount
FROM stored s FULL JOIN recount r USING (slice_no, model_name, complexity_level, task_no, instance_id)
WHERE s.slice_no IS NULL OR r.slice_no IS NULL
   OR (s.successes, s.failures, s.graded_successes) <> (r.successes, r.failures, r.graded_successes)
   OR abs(s.graded_reward - r.graded_reward) > 1e-9 * greatest(1, r.graded_reward)  -- sums of fractions depend on their order
   OR abs(s.graded_reward_squares - r.graded_reward_squares) > 1e-9 * greatest(1, r.graded_reward_squares)
ORDER BY slice_no, model_name COLLATE "C", complexity_level COLLATE "C", task_no, instance_id COLLATE "C";
