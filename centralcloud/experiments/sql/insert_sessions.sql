-- Stores sessions that begin with a decision, and returns the keys of those that are new: not open, and not ended earlier. Served by
-- the primary key.
INSERT INTO public.experiment_sessions (experiment_id, session_key, first_at, last_at, share, treatment, outcomes)
SELECT
    %(experiment_id)s, key, 'epoch'::timestamptz + at * interval '1 microsecond',
    'epoch'::timestamptz + at * interval '1 microsecond', nullif(share, -1), nullif(arm, -1), ''
FROM unnest(%(keys)s::bigint[], %(at)s::bigint[], %(share)s::double precision[], %(arm)s::smallint[]) AS begun (key, at, share, arm)
ON CONFLICT DO NOTHING
RETURNING session_key;
