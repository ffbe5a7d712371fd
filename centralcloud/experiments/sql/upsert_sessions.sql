-- Stores sessions that go on or have ended. Served by the primary key.
INSERT INTO public.experiment_sessions AS s (
    experiment_id, session_key, first_at, last_at, share, treatment, is_folded, has_ended, outcomes
)
SELECT
    %(experiment_id)s, key, 'epoch'::timestamptz + first_at * interval '1 microsecond',
    'epoch'::timestamptz + last_at * interval '1 microsecond', nullif(share, -1), nullif(arm, -1), is_folded, has_ended, outcomes
FROM unnest(
    %(keys)s::bigint[], %(first_at)s::bigint[], %(last_at)s::bigint[], %(share)s::double precision[], %(arm)s::smallint[],
    %(is_folded)s::boolean[], %(has_ended)s::boolean[], %(outcomes)s::bytea[]
) AS changed (key, first_at, last_at, share, arm, is_folded, has_ended, outcomes)
ON CONFLICT (experiment_id, session_key) DO UPDATE SET
    first_at = excluded.first_at, last_at = excluded.last_at, share = excluded.share, treatment = excluded.treatment,
    is_folded = excluded.is_folded, has_ended = excluded.has_ended, outcomes = excluded.outcomes;
