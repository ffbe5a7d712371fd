-- Where both models have a hold, that of the new name stays. Served by the primary key.
WITH gone AS (
    DELETE FROM public.score_holds WHERE model_name = %(old)s RETURNING *
)
INSERT INTO public.score_holds (model_name, complexity_level, after_slice, created_at)
SELECT %(new)s, complexity_level, after_slice, created_at FROM gone
ON CONFLICT DO NOTHING;
