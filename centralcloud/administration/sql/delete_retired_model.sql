-- No row when it is not retired. Served by the primary key.
DELETE FROM public.retired_models WHERE model_name = %(model)s RETURNING retired_at;
