INSERT INTO public.score_holds (model_name, complexity_level, after_slice)
VALUES (%(model)s, %(complexity)s, %(after_slice)s)
ON CONFLICT (model_name, complexity_level) DO UPDATE SET after_slice = excluded.after_slice, created_at = now();
