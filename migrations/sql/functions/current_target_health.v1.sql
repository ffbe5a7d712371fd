CREATE OR REPLACE FUNCTION centralcloud.current_target_health()
RETURNS TABLE (
    kind text, key text, reporter text, state text, reason text, reported_at timestamptz, seconds_left double precision
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    -- The whole table: it has at most 10,000 rows, and a few in most fleets.
    SELECT h.kind, h.key, h.reporter, h.state, h.reason, h.reported_at,
        extract(epoch FROM h.expires_at - now())::double precision
    FROM public.target_health AS h
    WHERE h.kind <> 'lease' AND h.expires_at > now()
    ORDER BY h.kind, h.key
$$;
COMMENT ON FUNCTION centralcloud.current_target_health IS 'what gateways say about targets, as far as it still counts';
