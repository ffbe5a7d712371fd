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
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    -- Served by the primary key of usage_roll_ups, or by its index of workspaces. Reads no record.
    SELECT
        p.period_start, p.period_end,
        CASE WHEN 'workspace' = ANY (groups) THEN u.workspace END AS by_workspace,
        CASE WHEN 'key' = ANY (groups) THEN u.key_id END AS by_key,
        CASE WHEN 'policy' = ANY (groups) THEN u.policy END AS by_policy,
        CASE WHEN 'worker' = ANY (groups) THEN u.worker END AS by_worker,
        CASE WHEN 'task' = ANY (groups) THEN u.task_type END AS by_task,
        CASE WHEN 'model' = ANY (groups) THEN u.model_name END AS by_model,
        CASE WHEN 'model' = ANY (groups) THEN u.provider END AS by_provider,
        sum(u.requests)::bigint, sum(u.attempts)::bigint, sum(u.successes)::bigint, sum(u.failures)::bigint,
        sum(u.blameless)::bigint, sum(u.without_cost)::bigint, sum(u.response_time_count)::bigint,
        sum(u.response_time_sum_ms)::bigint, sum(u.input_tokens)::bigint, sum(u.output_tokens)::bigint,
        sum(u.timed_tokens)::bigint, sum(u.generation_ms)::bigint, sum(u.feedback_count)::bigint,
        sum(u.feedback_successes)::bigint, sum(u.feedback_reward), sum(u.cost_nano_usd)
    FROM centralcloud.calendar_periods(period, zone, since, until) AS p
    JOIN public.usage_roll_ups AS u ON u.window_start >= p.period_start AND u.window_start < p.period_end
    WHERE (of_workspace IS NULL OR u.workspace = of_workspace) AND (of_model IS NULL OR u.model_name = of_model)
    GROUP BY p.period_start, p.period_end, by_workspace, by_key, by_policy, by_worker, by_task, by_model, by_provider
    ORDER BY p.period_start DESC, sum(u.cost_nano_usd) DESC, sum(u.attempts) DESC,
        by_workspace, by_key, by_policy, by_worker, by_task, by_model, by_provider
    LIMIT most
$$;
COMMENT ON FUNCTION centralcloud.usage_totals IS
    'sums of usage_roll_ups by workspace, key, policy, worker, task and model (those in groups), for each day, week or month, or for the whole time';
