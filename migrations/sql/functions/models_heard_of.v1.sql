CREATE OR REPLACE FUNCTION centralcloud.models_heard_of() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    -- The models that gateways have sent events of, or that have a score: a row a model and complexity in each table.
    SELECT model_name FROM public.model_routing_metrics UNION SELECT model_name FROM public.model_scores
$$;
COMMENT ON FUNCTION centralcloud.models_heard_of IS
    'names of models that gateways have sent events of, or that have a score: an experiment with another one is probably mistyped';
