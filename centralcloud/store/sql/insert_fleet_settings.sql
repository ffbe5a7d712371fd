-- Stores what is missing.
INSERT INTO public.fleet_settings (name, value)
SELECT key, value FROM jsonb_each(%(settings)s)
ON CONFLICT DO NOTHING
RETURNING name;
