SELECT name, value, updated_at FROM public.fleet_settings ORDER BY name;
