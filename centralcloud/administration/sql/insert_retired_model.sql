INSERT INTO public.retired_models (model_name, retired_at) VALUES (%(model)s, %(retired_at)s);
