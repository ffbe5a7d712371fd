-- Instances that used new model names beyond the limit in the newest 24 hours. Served by idx_new_model_names_hour.
SELECT
    instance_id,
    sum(names)::bigint AS names,
    sum(events)::bigint AS events,
    (array_agg(example ORDER BY hour DESC))[1] AS example
FROM public.new_model_names
WHERE NOT admitted AND hour > now() - interval '24 hours'
GROUP BY instance_id
ORDER BY instance_id;
