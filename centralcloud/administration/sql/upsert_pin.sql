INSERT INTO public.score_pins (model_name, complexity_level, score, expires_at)
VALUES (%(model)s, %(complexity)s, %(score)s, %(until)s)
ON CONFLICT (model_name, complexity_level) DO UPDATE SET
    score = excluded.score, expires_at = excluded.expires_at, created_at = now();
