-- Deletes the counts of ignored values that are older than two days. Served by the primary key.
DELETE FROM public.ignored_values WHERE hour < now() - interval '48 hours';
