-- Instances that used new model names beyond a limit in the newest 24 hours, and beyond which: names within it are counted up to
-- the limit, of the instance and of the fleet (the empty id). Served by idx_new_model_names_hour and the primary key.
SELECT
    refused.instance_id,
    sum(refused.names)::bigint AS names,
    sum(refused.events)::bigint AS events,
    (array_agg(refused.example ORDER BY refused.hour DESC))[1] AS example,
    bool_or(coalesce(own.names, 0) >= %(per_instance)s) AS used_up_own,
    bool_or(coalesce(own.names, 0) < %(per_instance)s AND coalesce(fleet.names, 0) >= %(per_fleet)s) AS fleet_used_up
FROM public.new_model_names refused
LEFT JOIN public.new_model_names own
    ON own.instance_id = refused.instance_id AND own.hour = refused.hour AND own.admitted
LEFT JOIN public.new_model_names fleet ON fleet.instance_id = '' AND fleet.hour = refused.hour AND fleet.admitted
WHERE NOT refused.admitted AND refused.hour > now() - interval '24 hours'
GROUP BY refused.instance_id
ORDER BY refused.instance_id;
