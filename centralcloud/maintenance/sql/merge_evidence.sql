-- Merges slices with their neighbours as they age: a stretch of 2^k hours becomes one slice once it is older than 24 times its
-- own length (k from -6, about a minute), so that the number of slices grows with the logarithm of time. Slices are not merged
-- across the beginning or the end of the evidence behind a published score or a rule's state, nor across a change of the
-- references, nor where evidence by task type begins, and the newest slices, which a rule still weighs one by one, are not merged at all. Returns how many slices were
-- merged away. Goes through all evidence, once per maintenance run.
WITH boundary AS (
    SELECT evaluated_through_slice AS slice_no FROM public.model_scores
    UNION SELECT after_slice FROM public.model_scores
    UNION SELECT after_slice FROM public.rule_scores
    UNION SELECT through_slice FROM public.rule_scores
    UNION SELECT evidence_from FROM public.rule_scores
    UNION SELECT unnest(earlier_boundaries) FROM public.rule_scores
    UNION SELECT after_slice FROM public.model_changes WHERE created_at > %(as_of)s - interval '30 days'
    UNION SELECT h.after_slice FROM public.model_score_history h JOIN public.model_scores USING (version)
    UNION SELECT h.through_slice FROM public.model_score_history h JOIN public.model_scores USING (version)
), aged AS (
    SELECT
        s.slice_no,
        s.opened_at,
        s.after_record_id,
        s.latency_ref_ms,
        s.cost_ref_usd,
        s.by_task_type,
        coalesce(s.merged_from, s.slice_no) AS first_slice,
        stretch.k,
        floor(extract(epoch FROM s.closed_at) / 3600 / 2 ^ stretch.k) AS number,
        (SELECT count(*) FROM boundary b WHERE b.slice_no < coalesce(s.merged_from, s.slice_no)) AS boundaries_before
    FROM public.evidence_slices s
    CROSS JOIN LATERAL (
        SELECT max(k) AS k
        FROM generate_series(-6, 20) AS k
        WHERE (floor(extract(epoch FROM s.closed_at) / 3600 / 2 ^ k) + 1 + 24) * 3600 * 2 ^ k <= extract(epoch FROM %(as_of)s)
    ) AS stretch
    WHERE s.gathered_at IS NOT NULL
      AND stretch.k IS NOT NULL
      AND s.slice_no <= ALL (
          SELECT slice_no FROM (
              SELECT slice_no, after_record_id, max(after_record_id) OVER () - %(weighed_records)s AS weighed_after
              FROM (SELECT slice_no, after_record_id FROM public.evidence_slices ORDER BY slice_no DESC LIMIT %(weighed_slices)s) AS newest
          ) AS newest
          WHERE after_record_id > weighed_after
      )
), numbered AS (  -- neighbours in one stretch have the same `island`, even if the clock was once set back
    SELECT *, row_number() OVER (ORDER BY slice_no)
        - row_number() OVER (PARTITION BY k, number, boundaries_before, latency_ref_ms, cost_ref_usd, by_task_type ORDER BY slice_no) AS island
    FROM aged
), merged AS MATERIALIZED (
    SELECT
        min(first_slice) AS first_slice, max(slice_no) AS last_slice, min(opened_at) AS opened_at,
        min(after_record_id) AS after_record_id
    FROM numbered
    GROUP BY k, number, boundaries_before, latency_ref_ms, cost_ref_usd, by_task_type, island
    HAVING count(*) > 1
), deleted AS (
    DELETE FROM public.evidence e USING merged m
    WHERE e.slice_no BETWEEN m.first_slice AND m.last_slice
    RETURNING m.last_slice, e.*
), inserted AS (
    INSERT INTO public.evidence (
        slice_no, model_name, complexity_level, provider, instance_id, routed, successes, failures, blameless,
        response_time_count, response_time_sum_ms, input_tokens, output_tokens, cost_usd, capped_response_time_sum_ms,
        cost_count, capped_cost_sum_usd, late, graded_successes, graded_reward, graded_reward_squares
    )
    SELECT
        last_slice, model_name, complexity_level, provider, instance_id, sum(routed), sum(successes), sum(failures),
        sum(blameless), sum(response_time_count), sum(response_time_sum_ms), sum(input_tokens), sum(output_tokens),
        sum(cost_usd), sum(capped_response_time_sum_ms), sum(cost_count), sum(capped_cost_sum_usd), sum(late),
        sum(graded_successes), sum(graded_reward), sum(graded_reward_squares)
    FROM deleted
    GROUP BY last_slice, model_name, complexity_level, provider, instance_id
), deleted_dropped AS (
    DELETE FROM public.dropped_evidence e USING merged m
    WHERE e.slice_no BETWEEN m.first_slice AND m.last_slice
    RETURNING m.last_slice, e.*
), inserted_dropped AS (
    INSERT INTO public.dropped_evidence (
        slice_no, model_name, complexity_level, provider, instance_id, routed, successes, failures, blameless,
        response_time_count, response_time_sum_ms, input_tokens, output_tokens, cost_usd, capped_response_time_sum_ms,
        cost_count, capped_cost_sum_usd, late, graded_successes, graded_reward, graded_reward_squares
    )
    SELECT
        last_slice, model_name, complexity_level, provider, instance_id, sum(routed), sum(successes), sum(failures),
        sum(blameless), sum(response_time_count), sum(response_time_sum_ms), sum(input_tokens), sum(output_tokens),
        sum(cost_usd), sum(capped_response_time_sum_ms), sum(cost_count), sum(capped_cost_sum_usd), sum(late),
        sum(graded_successes), sum(graded_reward), sum(graded_reward_squares)
    FROM deleted_dropped
    GROUP BY last_slice, model_name, complexity_level, provider, instance_id
), deleted_task AS (
    DELETE FROM public.task_evidence e USING merged m
    WHERE e.slice_no BETWEEN m.first_slice AND m.last_slice
    RETURNING m.last_slice, e.*
), inserted_task AS (
    INSERT INTO public.task_evidence (
        slice_no, model_name, complexity_level, task_no, instance_id, successes, failures, graded_successes, graded_reward,
        graded_reward_squares
    )
    SELECT
        last_slice, model_name, complexity_level, task_no, instance_id, sum(successes), sum(failures), sum(graded_successes),
        sum(graded_reward), sum(graded_reward_squares)
    FROM deleted_task
    GROUP BY last_slice, model_name, complexity_level, task_no, instance_id
), deleted_dropped_task AS (
    DELETE FROM public.dropped_task_evidence e USING merged m
    WHERE e.slice_no BETWEEN m.first_slice AND m.last_slice
    RETURNING m.last_slice, e.*
), inserted_dropped_task AS (
    INSERT INTO public.dropped_task_evidence (
        slice_no, model_name, complexity_level, task_no, instance_id, successes, failures, graded_successes, graded_reward,
        graded_reward_squares
    )
    SELECT
        last_slice, model_name, complexity_level, task_no, instance_id, sum(successes), sum(failures), sum(graded_successes),
        sum(graded_reward), sum(graded_reward_squares)
    FROM deleted_dropped_task
    GROUP BY last_slice, model_name, complexity_level, task_no, instance_id
), kept AS (
    UPDATE public.evidence_slices s SET merged_from = m.first_slice, opened_at = m.opened_at, after_record_id = m.after_record_id
    FROM merged m WHERE s.slice_no = m.last_slice
), merged_away AS (
    DELETE FROM public.evidence_slices s USING merged m
    WHERE s.slice_no >= m.first_slice AND s.slice_no < m.last_slice
    RETURNING s.slice_no
), notified AS (
    UPDATE public.learning_control SET evidence_generation = evidence_generation + 1, revision = revision + 1
    WHERE EXISTS (SELECT FROM merged_away)
)
SELECT count(*) FROM merged_away;
