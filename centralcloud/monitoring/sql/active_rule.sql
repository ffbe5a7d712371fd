-- The rule whose scores are published; no row before the first daemon has stored it. Served by the primary key.
SELECT value #>> '{}' AS rule FROM public.fleet_settings WHERE name = 'rule';
