-- Served by the primary key.
DELETE FROM public.score_pins WHERE model_name = %(model)s;
