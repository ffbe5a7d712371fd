-- Those of some model names that no event was recorded under, and that no operator has retired. Served by the unique key of
-- model_routing_metrics, and the primary key of retired_models.
SELECT model
FROM unnest(%(models)s::varchar[]) AS model
WHERE NOT EXISTS (SELECT FROM public.model_routing_metrics m WHERE m.model_name = model)
  AND NOT EXISTS (SELECT FROM public.retired_models r WHERE r.model_name = model);
