CREATE OR REPLACE FUNCTION centralcloud.usage_by_complexity(
    since timestamptz, until timestamptz, of_workspace text DEFAULT NULL
)
RETURNS TABLE (
    complexity text, model text, provider text, attempts bigint, successes bigint, failures bigint, without_cost bigint,
    response_time_count bigint, response_time_sum_ms bigint, cost_nano_usd numeric
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
-- A range of the primary key of usage_roll_ups, or of its index of workspaces. Reads no record. EXECUTE plans with the values.
BEGIN
    RETURN QUERY EXECUTE $query$
        SELECT
            u.complexity::text, u.model_name::text, min(u.provider)::text, sum(u.attempts)::bigint, sum(u.successes)::bigint,
            sum(u.failures)::bigint, sum(u.without_cost)::bigint, sum(u.response_time_count)::bigint,
            sum(u.response_time_sum_ms)::bigint, sum(u.cost_nano_usd)
        FROM public.usage_roll_ups AS u
        WHERE u.window_start >= $1 AND u.window_start < $2 AND ($3 IS NULL OR u.workspace = $3) AND u.complexity <> ''
        GROUP BY u.complexity, u.model_name
        ORDER BY u.complexity, u.model_name
    $query$ USING since, until, of_workspace;
END
$$;
COMMENT ON FUNCTION centralcloud.usage_by_complexity IS
    'sums of usage_roll_ups by complexity and model, of the whole fleet or of a workspace; not of what was summed before revision 0026';
