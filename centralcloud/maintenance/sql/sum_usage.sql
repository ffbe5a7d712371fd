-- Sums the records and the feedback that arrived in a range of full quarter-hours. Served by the primary key of each partition,
-- through the slices that were open then: the cost grows with the records of this time only. The workspace, key, policy and worker
-- are in the decision alone: an outcome takes those of its decision, which arrived with it, in the quarter-hour before, or, found by
-- idx_routing_records_request_id, at any time.
WITH slices AS (
    SELECT
        min(after_record_id) AS after_record_id,
        (SELECT min(later.after_record_id) FROM public.evidence_slices later WHERE later.slice_no > max(s.slice_no)) AS last_record_id
    FROM public.evidence_slices s
    WHERE coalesce(closed_at, 'infinity') >= %(since)s - interval '15 minutes'
      AND (opened_at <= %(until)s + interval '1 hour' OR opened_at > now())
), near AS (
    SELECT
        r.created_at, r.instance_id, r.decision_id, r.request_id, r.attempt, r.outcome, r.complexity, r.model, r.provider,
        r.error_kind, r.first_of_decision, r.response_time_ms, r.first_token_ms, r.input_tokens, r.output_tokens, r.workspace, r.key_id,
        r.policy, r.worker, r.task_type,
        coalesce(r.cost_nano_usd, round(r.cost_usd::numeric * 1000000000)) AS nano_usd,
        r.outcome = 'failure' AND coalesce(r.error_kind IN ('caller', 'policy'), false) AS blameless,
        r.outcome = 'routed' AND r.decision_id IS NOT NULL AS decides
    FROM public.routing_records r
    WHERE id > (SELECT after_record_id FROM slices)
      AND id <= (SELECT coalesce(last_record_id, 9223372036854775807) FROM slices)
      AND created_at >= %(since)s - interval '15 minutes' AND created_at < %(until)s
), decided AS (
    -- A window, not a join: the planner does not know how many records a range of time has, and a nested loop over a day of
    -- them takes hours.
    SELECT
        near.*,
        bool_or(decides) OVER decision AS is_decided,
        max(workspace) FILTER (WHERE decides) OVER decision AS decision_workspace,
        max(key_id) FILTER (WHERE decides) OVER decision AS decision_key_id,
        max(policy) FILTER (WHERE decides) OVER decision AS decision_policy,
        max(worker) FILTER (WHERE decides) OVER decision AS decision_worker,
        max(task_type) FILTER (WHERE decides) OVER decision AS decision_task_type,
        bool_or(nano_usd IS NOT NULL) FILTER (WHERE decides) OVER decision AS decision_priced
    FROM near
    WINDOW decision AS (PARTITION BY instance_id, decision_id)
), labelled AS (
    SELECT
        r.created_at, r.decision_id, r.request_id, r.attempt, r.outcome, r.complexity, r.model, r.provider, r.first_of_decision,
        r.blameless, r.response_time_ms, r.first_token_ms, r.input_tokens, r.output_tokens, r.nano_usd,
        coalesce(r.workspace, r.decision_workspace, e.workspace, '') AS workspace,
        coalesce(r.key_id, r.decision_key_id, e.key_id, '') AS key_id,
        coalesce(r.policy, r.decision_policy, e.policy, '') AS policy,
        coalesce(r.worker, r.decision_worker, e.worker, '') AS worker,
        coalesce(r.task_type, r.decision_task_type, e.task_type, '') AS task_type,
        -- The decision of a request that waits for feedback has its cost.
        coalesce(r.nano_usd IS NOT NULL OR r.decision_priced OR e.priced, false) AS priced
    FROM decided r
    LEFT JOIN LATERAL (
        SELECT
            workspace, key_id, policy, worker, task_type,
            cost_nano_usd IS NOT NULL OR cost_usd IS NOT NULL AS priced
        FROM public.routing_records earlier
        -- The first line is decided before any partition is looked at: most instances send no request_id.
        WHERE r.outcome <> 'routed' AND NOT r.is_decided AND r.request_id IS NOT NULL AND r.decision_id IS NOT NULL
          AND earlier.request_id = r.request_id
          AND earlier.instance_id = r.instance_id AND earlier.decision_id = r.decision_id AND earlier.outcome = 'routed'
        ORDER BY id LIMIT 1
    ) AS e ON true
    WHERE r.created_at >= %(since)s
), measured AS (
    SELECT
        date_bin('15 minutes', created_at, '2000-01-01 00:00:00+00') AS window_start,
        workspace, key_id, policy, worker, task_type, complexity, model AS model_name, provider,
        count(*) FILTER (WHERE first_of_decision) + greatest(
            count(*) FILTER (WHERE decision_id IS NULL AND outcome = 'routed'),
            count(*) FILTER (WHERE decision_id IS NULL AND outcome <> 'routed')
        ) AS attempts,
        count(*) FILTER (WHERE first_of_decision AND coalesce(attempt, 1) = 1) + greatest(
            count(*) FILTER (WHERE decision_id IS NULL AND outcome = 'routed' AND coalesce(attempt, 1) = 1),
            count(*) FILTER (WHERE decision_id IS NULL AND outcome <> 'routed' AND coalesce(attempt, 1) = 1)
        ) AS requests,
        count(*) FILTER (WHERE outcome = 'success') AS successes,
        count(*) FILTER (WHERE outcome = 'failure' AND NOT blameless) AS failures,
        count(*) FILTER (WHERE blameless) AS blameless,
        count(*) FILTER (WHERE outcome = 'success' AND NOT priced AND request_id IS NOT NULL) AS without_cost,
        count(response_time_ms) FILTER (WHERE outcome <> 'routed' AND NOT blameless) AS response_time_count,
        coalesce(sum(response_time_ms) FILTER (WHERE outcome <> 'routed' AND NOT blameless), 0) AS response_time_sum_ms,
        coalesce(sum(input_tokens), 0) AS input_tokens,
        coalesce(sum(output_tokens), 0) AS output_tokens,
        coalesce(sum(output_tokens) FILTER (WHERE outcome = 'success' AND response_time_ms IS NOT NULL), 0) AS timed_tokens,
        coalesce(sum(greatest(response_time_ms - coalesce(first_token_ms, 0), 1)) FILTER (
            WHERE outcome = 'success' AND output_tokens IS NOT NULL AND response_time_ms IS NOT NULL
        ), 0) AS generation_ms,
        0::bigint AS feedback_count, 0::bigint AS feedback_successes, 0::double precision AS feedback_reward,
        coalesce(sum(nano_usd), 0) AS cost_nano_usd
    FROM labelled
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
    UNION ALL
    SELECT
        date_bin('15 minutes', f.created_at, '2000-01-01 00:00:00+00'),
        coalesce(f.workspace, d.workspace, ''), coalesce(d.key_id, ''), coalesce(d.policy, ''), coalesce(d.worker, ''),
        coalesce(d.task_type, ''), f.complexity_level, f.model_name, coalesce(d.provider, ''),
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, count(*), count(*) FILTER (WHERE f.success),
        sum(coalesce(f.reward, f.success::integer)), 0
    FROM public.feedback f
    LEFT JOIN LATERAL (
        SELECT workspace, key_id, policy, worker, task_type, provider
        FROM public.routing_records one
        WHERE one.request_id = f.request_id AND one.outcome = 'routed'
        ORDER BY attempt DESC NULLS LAST, id LIMIT 1
    ) AS d ON true
    WHERE f.created_at >= %(since)s AND f.created_at < %(until)s
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
), ranked AS (
    SELECT
        measured.*,
        row_number() OVER (
            PARTITION BY window_start, workspace
            ORDER BY attempts + feedback_count DESC, cost_nano_usd DESC, key_id, policy, worker, task_type, complexity, model_name,
                provider
        ) AS nth
    FROM measured
), bounded AS (
    SELECT
        window_start, workspace, key_id, policy, complexity, model_name, provider,
        CASE WHEN nth > %(of_workspace)s AND worker <> '' THEN %(other)s::text ELSE worker END AS worker,
        CASE WHEN nth > %(of_workspace)s AND task_type <> '' THEN %(other)s::text ELSE task_type END AS task_type,
        requests, attempts, successes, failures, blameless, without_cost, response_time_count, response_time_sum_ms,
        input_tokens, output_tokens, timed_tokens, generation_ms, feedback_count, feedback_successes, feedback_reward,
        cost_nano_usd,
        row_number() OVER (
            PARTITION BY window_start
            ORDER BY nth, attempts DESC, workspace, key_id, policy, worker, task_type, complexity, model_name, provider
        ) AS nth_of_all
    FROM ranked
)
INSERT INTO public.usage_roll_ups (
    window_start, id, workspace, key_id, policy, worker, task_type, complexity, model_name, provider, requests, attempts, successes,
    failures, blameless, without_cost, response_time_count, response_time_sum_ms, input_tokens, output_tokens, timed_tokens,
    generation_ms, feedback_count, feedback_successes, feedback_reward, cost_nano_usd
)
SELECT
    window_start, centralcloud.usage_key(ARRAY[workspace, key_id, policy, worker, task_type, model_name, provider, complexity]),
    workspace, key_id, policy, worker, task_type, complexity, model_name, provider, sum(requests), sum(attempts), sum(successes),
    sum(failures), sum(blameless), sum(without_cost), sum(response_time_count), sum(response_time_sum_ms), sum(input_tokens), sum(output_tokens),
    sum(timed_tokens), sum(generation_ms), sum(feedback_count), sum(feedback_successes), sum(feedback_reward),
    sum(cost_nano_usd)
FROM (
    SELECT
        window_start, complexity, model_name, provider, requests, attempts, successes, failures, blameless, without_cost,
        response_time_count, response_time_sum_ms, input_tokens, output_tokens, timed_tokens, generation_ms, feedback_count,
        feedback_successes, feedback_reward, cost_nano_usd,
        CASE WHEN nth_of_all > %(of_all)s AND workspace <> '' THEN %(other)s::text ELSE workspace END AS workspace,
        CASE WHEN nth_of_all > %(of_all)s AND key_id <> '' THEN %(other)s::text ELSE key_id END AS key_id,
        CASE WHEN nth_of_all > %(of_all)s AND policy <> '' THEN %(other)s::text ELSE policy END AS policy,
        CASE WHEN nth_of_all > %(of_all)s AND worker <> '' THEN %(other)s::text ELSE worker END AS worker,
        CASE WHEN nth_of_all > %(of_all)s AND task_type <> '' THEN %(other)s::text ELSE task_type END AS task_type
    FROM bounded
) AS kept
GROUP BY window_start, workspace, key_id, policy, worker, task_type, complexity, model_name, provider;
