CREATE OR REPLACE FUNCTION centralcloud.usage_escalations(
    since timestamptz, until timestamptz, of_workspace text DEFAULT NULL, of_model text DEFAULT NULL, most integer DEFAULT 100
)
RETURNS TABLE (reason text, from_model text, to_model text, requests bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e.reason, e.from_model, e.to_model, sum(e.requests)::bigint
    FROM public.escalation_roll_ups AS e
    WHERE e.window_start >= since AND e.window_start < until
        AND (of_workspace IS NULL OR e.workspace = of_workspace)
        AND (of_model IS NULL OR of_model IN (e.from_model, e.to_model))
    GROUP BY e.reason, e.from_model, e.to_model
    ORDER BY sum(e.requests) DESC, e.reason, e.from_model, e.to_model
    LIMIT most
$$;
COMMENT ON FUNCTION centralcloud.usage_escalations IS 'attempts after a failed one: why, from which model and to which';
