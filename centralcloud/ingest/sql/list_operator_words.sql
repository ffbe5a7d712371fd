-- The words that an operator has added, by the name of their fleet setting. Served by the primary key.
SELECT name, value #>> '{}' AS words FROM public.fleet_settings
WHERE name IN ('words.complexity', 'words.outcome', 'words.error_kind');
