-- The pin of a pair that holds now. No row: there is none. Served by the primary key.
SELECT score::double precision AS score, expires_at AS until
FROM public.score_pins
WHERE model_name = %(model)s AND complexity_level = %(complexity)s AND (expires_at IS NULL OR expires_at > now());
