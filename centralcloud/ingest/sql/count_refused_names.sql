-- Counts the names beyond the limits, by instance. Returns the instances that had none in this hour before. Served by the primary
-- key. The keys are sorted, so that two consumers wait for each other and do not deadlock.
WITH counted AS (
    INSERT INTO public.new_model_names AS n (instance_id, hour, admitted, names, events, example)
    SELECT instance_id, date_trunc('hour', now(), 'UTC'), false, names, events, example
    FROM unnest(%(instance_ids)s::varchar[], %(names)s::bigint[], %(events)s::bigint[], %(examples)s::varchar[])
        AS refused (instance_id, names, events, example)
    ORDER BY instance_id
    ON CONFLICT (instance_id, hour, admitted) DO UPDATE SET
        names = n.names + excluded.names, events = n.events + excluded.events, example = excluded.example,
        granted = 1  -- not the first time
    RETURNING instance_id, granted
)
SELECT instance_id FROM counted WHERE granted = 0;
