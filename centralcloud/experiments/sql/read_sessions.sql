-- The sessions of a batch, and the open ones that are idle by its end, as arrays. Served by the primary key and by
-- idx_experiment_sessions_open: it reads the open sessions that are as old, and none of those that have ended before.
SELECT
    array_agg(session_key) AS key,
    array_agg((extract(epoch FROM first_at) * 1000000)::bigint) AS first_at,
    array_agg((extract(epoch FROM last_at) * 1000000)::bigint) AS last_at,
    array_agg(coalesce(treatment, -1)::bigint) AS arm,
    array_agg(coalesce(share, -1)) AS share,
    array_agg(CASE WHEN is_folded THEN 1 ELSE 0 END::bigint) AS is_folded,
    array_agg(CASE WHEN has_ended THEN 1 ELSE 0 END::bigint) AS has_ended,
    array_agg(octet_length(outcomes)::bigint) AS bytes,
    string_agg(outcomes, '') AS outcomes
FROM (
    SELECT session_key, first_at, last_at, treatment, share, is_folded, has_ended, outcomes
    FROM public.experiment_sessions
    WHERE experiment_id = %(experiment_id)s AND session_key = ANY (%(keys)s::bigint[])
    UNION ALL
    SELECT session_key, first_at, last_at, treatment, share, is_folded, has_ended, outcomes
    FROM public.experiment_sessions
    WHERE experiment_id = %(experiment_id)s AND NOT has_ended AND first_at <= %(idle_since)s AND last_at <= %(idle_since)s
        AND session_key <> ALL (%(keys)s::bigint[])
) AS session;
