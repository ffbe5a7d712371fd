-- Where both models have a pin, that of the new name stays, unless it has expired. Served by the primary key.
WITH gone AS (
    DELETE FROM public.score_pins WHERE model_name = %(old)s RETURNING *
)
INSERT INTO public.score_pins (model_name, complexity_level, score, expires_at, created_at)
SELECT %(new)s, complexity_level, score, expires_at, created_at FROM gone
ON CONFLICT (model_name, complexity_level) DO UPDATE SET
    score = excluded.score, expires_at = excluded.expires_at, created_at = excluded.created_at
WHERE score_pins.expires_at <= now();
