DELETE FROM public.score_pins WHERE model_name = %(model)s AND complexity_level = %(complexity)s
RETURNING score::double precision AS pin, expires_at::text AS until;
