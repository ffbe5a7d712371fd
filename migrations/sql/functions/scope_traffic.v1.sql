CREATE OR REPLACE FUNCTION centralcloud.scope_traffic(
    since timestamptz, until timestamptz, complexities text[], task_types text[], policies text[], workspaces text[]
) RETURNS TABLE (requests bigint, successes bigint, failures bigint, mean_ms double precision, mean_cost_usd double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
-- A range of the primary key of usage_roll_ups. Reads no record. EXECUTE plans with the values.
BEGIN
    RETURN QUERY EXECUTE $query$
        SELECT
            coalesce(sum(u.requests), 0)::bigint, coalesce(sum(u.successes), 0)::bigint, coalesce(sum(u.failures), 0)::bigint,
            (sum(u.response_time_sum_ms) / nullif(sum(u.response_time_count), 0))::float8,
            (sum(u.cost_nano_usd) / 1e9 / nullif(sum(u.requests), 0))::float8
        FROM public.usage_roll_ups AS u
        WHERE u.window_start >= $1 AND u.window_start < $2
            AND ($3 = '{}' OR u.complexity = ANY ($3)) AND ($4 = '{}' OR u.task_type = ANY ($4))
            AND ($5 = '{}' OR u.policy = ANY ($5)) AND ($6 = '{}' OR u.workspace = ANY ($6))
    $query$ USING since, until, complexities, task_types, policies, workspaces;
END
$$;
COMMENT ON FUNCTION centralcloud.scope_traffic IS
    'requests, successes, failures and means of usage_roll_ups in the scope of an experiment; an empty list leaves a field open';
