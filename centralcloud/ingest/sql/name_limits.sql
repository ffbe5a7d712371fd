-- The limits of new model names, as far as they are stored. Served by the primary key.
SELECT substr(name, 7) AS name, value
FROM public.fleet_settings WHERE name IN ('names.new_per_instance', 'names.new_per_fleet');
