-- The instances whose outcomes the active rule has left out of a pair's score. Served by the primary keys.
SELECT unnest(excluded_instances) AS instance_id
FROM public.rule_scores
WHERE rule = (SELECT value #>> '{}' FROM public.fleet_settings WHERE name = 'rule')
  AND model_name = %(model)s AND complexity_level = %(complexity)s
ORDER BY 1;
