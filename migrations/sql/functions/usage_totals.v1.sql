CREATE OR REPLACE FUNCTION centralcloud.usage_totals(
    since timestamptz, until timestamptz, groups text[] DEFAULT '{}', period text DEFAULT NULL, zone text DEFAULT 'UTC',
    of_workspace text DEFAULT NULL, of_model text DEFAULT NULL, most integer DEFAULT 1000
)
RETURNS TABLE (
    period_start timestamptz, period_end timestamptz, workspace text, key_id text, policy text, worker text, task_type text,
    model text, provider text, requests bigint, attempts bigint, successes bigint, failures bigint, blameless bigint,
    without_cost bigint, response_time_count bigint, response_time_sum_ms bigint, input_tokens bigint, output_tokens bigint,
    timed_tokens bigint, generation_ms bigint, feedback_count bigint, feedback_successes bigint,
    feedback_reward double precision, cost_nano_usd numeric
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
-- Each period is a range of the primary key of usage_roll_ups, or of its index of workspaces. Reads no record. EXECUTE plans with
-- the values: a plan for any value would read the whole table for each period.
DECLARE
    starts timestamptz[];
    ends timestamptz[];
BEGIN
    SELECT array_agg(c.period_start), array_agg(c.period_end) INTO starts, ends
    FROM centralcloud.calendar_periods(period, zone, since, until) AS c;
    RETURN QUERY EXECUTE $query$
        SELECT p.period_start, p.period_end, used.*
        FROM unnest($1, $2) AS p (period_start, period_end)
        CROSS JOIN LATERAL (
            SELECT
                CASE WHEN 'workspace' = ANY ($3) THEN u.workspace::text END AS by_workspace,
                CASE WHEN 'key' = ANY ($3) THEN u.key_id::text END AS by_key,
                CASE WHEN 'policy' = ANY ($3) THEN u.policy::text END AS by_policy,
                CASE WHEN 'worker' = ANY ($3) THEN u.worker::text END AS by_worker,
                CASE WHEN 'task' = ANY ($3) THEN u.task_type::text END AS by_task,
                CASE WHEN 'model' = ANY ($3) THEN u.model_name::text END AS by_model,
                CASE WHEN 'model' = ANY ($3) THEN u.provider::text END AS by_provider,
                sum(u.requests)::bigint, sum(u.attempts)::bigint AS attempts, sum(u.successes)::bigint, sum(u.failures)::bigint,
                sum(u.blameless)::bigint, sum(u.without_cost)::bigint, sum(u.response_time_count)::bigint,
                sum(u.response_time_sum_ms)::bigint, sum(u.input_tokens)::bigint, sum(u.output_tokens)::bigint,
                sum(u.timed_tokens)::bigint, sum(u.generation_ms)::bigint, sum(u.feedback_count)::bigint,
                sum(u.feedback_successes)::bigint, sum(u.feedback_reward), sum(u.cost_nano_usd) AS cost
            FROM public.usage_roll_ups AS u
            WHERE u.window_start >= p.period_start AND u.window_start < p.period_end
                AND ($4 IS NULL OR u.workspace = $4) AND ($5 IS NULL OR u.model_name = $5)
            GROUP BY by_workspace, by_key, by_policy, by_worker, by_task, by_model, by_provider
        ) AS used
        ORDER BY p.period_start DESC, cost DESC, attempts DESC,
            by_workspace, by_key, by_policy, by_worker, by_task, by_model, by_provider
        LIMIT $6
    $query$ USING starts, ends, groups, of_workspace, of_model, most;
END
$$;
COMMENT ON FUNCTION centralcloud.usage_totals IS
    'sums of usage_roll_ups by workspace, key, policy, worker, task and model (those in groups), for each day, week or month, or for the whole time';
