-- The registered models and the rules of the configuration, without addresses and keys. A view over its entries, by their primary
-- key: a few hundred rows at most in most fleets.
SELECT kind, id, body::text AS body FROM public.dashboard_configuration WHERE kind IN ('model', 'rule') ORDER BY kind, id LIMIT 1000;
