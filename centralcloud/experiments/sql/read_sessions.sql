-- The open sessions of a batch, and those that are idle by its end, as arrays. Reads the open sessions of the experiment, by the
-- primary key.
SELECT
    array_agg(session_key) AS key,
    array_agg((extract(epoch FROM first_at) * 1000000)::bigint) AS first_at,
    array_agg((extract(epoch FROM last_at) * 1000000)::bigint) AS last_at,
    array_agg(coalesce(treatment, -1)::bigint) AS arm,
    array_agg(coalesce(share, -1)) AS share,
    array_agg(CASE WHEN is_folded THEN 1 ELSE 0 END::bigint) AS is_folded,
    array_agg(octet_length(outcomes)::bigint) AS bytes,
    string_agg(outcomes, '') AS outcomes
FROM (
    SELECT session_key, first_at, last_at, treatment, share, is_folded, outcomes
    FROM public.experiment_sessions
    WHERE experiment_id = %(experiment_id)s AND (last_at <= %(idle_since)s OR session_key = ANY (%(keys)s))
) AS session;
