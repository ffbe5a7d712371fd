-- The newest times of one pair, from its records. The row of the pair is locked meanwhile, so that ingest adds none.
-- Served by the index on (model, complexity).
UPDATE public.model_routing_metrics SET response_times = ARRAY(
    SELECT response_time_ms FROM (
        SELECT id, response_time_ms FROM public.routing_records
        WHERE model = %(model_name)s AND complexity = %(complexity_level)s AND response_time_ms IS NOT NULL
        ORDER BY id DESC LIMIT 100
    ) AS newest ORDER BY id
)
WHERE model_name = %(model_name)s AND complexity_level = %(complexity_level)s;
