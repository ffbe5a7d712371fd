-- Counts new model names of some instances, and of the fleet (the empty id), as far as the limits of this hour allow. Returns how
-- many each may use; a row without any left is neither returned nor locked. Served by the primary key. The keys are sorted, so
-- that two consumers wait for each other and do not deadlock.
INSERT INTO public.new_model_names AS n (instance_id, hour, admitted, names, granted)
SELECT instance_id, date_trunc('hour', now(), 'UTC'), true, least(wanted, most), least(wanted, most)
FROM (
    SELECT
        instance_id, wanted, CASE instance_id WHEN '' THEN %(per_fleet)s::bigint ELSE %(per_instance)s::bigint END AS most
    FROM unnest(%(instance_ids)s::varchar[], %(wanted)s::bigint[]) AS asked (instance_id, wanted)
) AS asked
WHERE NOT EXISTS (
    SELECT FROM public.new_model_names used
    WHERE used.instance_id = asked.instance_id AND used.hour = date_trunc('hour', now(), 'UTC') AND used.admitted
      AND used.names >= asked.most
)
ORDER BY instance_id
ON CONFLICT (instance_id, hour, admitted) DO UPDATE SET
    granted = greatest(
        0, least(excluded.granted, CASE n.instance_id WHEN '' THEN %(per_fleet)s::bigint ELSE %(per_instance)s::bigint END - n.names)
    ),
    names = n.names + greatest(
        0, least(excluded.granted, CASE n.instance_id WHEN '' THEN %(per_fleet)s::bigint ELSE %(per_instance)s::bigint END - n.names)
    )
RETURNING instance_id, granted;
