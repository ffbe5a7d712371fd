-- Locks the count of the fleet's new model names (the empty id) until the transaction ends. Every grant of names has this lock.
-- No row, and no lock, if the fleet or each of the instances has none left in this hour. Served by the primary key.
INSERT INTO public.new_model_names AS n (instance_id, hour, admitted)
SELECT '', date_trunc('hour', now(), 'UTC'), true
WHERE NOT EXISTS (
    SELECT FROM public.new_model_names used
    WHERE used.instance_id = '' AND used.hour = date_trunc('hour', now(), 'UTC') AND used.admitted
      AND used.names >= %(per_fleet)s
)
AND EXISTS (
    SELECT FROM unnest(%(instance_ids)s::varchar[]) AS asked (instance_id)
    WHERE NOT EXISTS (
        SELECT FROM public.new_model_names used
        WHERE used.instance_id = asked.instance_id AND used.hour = date_trunc('hour', now(), 'UTC') AND used.admitted
          AND used.names >= %(per_instance)s
    )
)
ON CONFLICT (instance_id, hour, admitted) DO UPDATE SET granted = 0
RETURNING names;
