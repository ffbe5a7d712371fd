-- The reports of gateways that still count, and the leases on probes. The table is read as a whole: it has at most 10,000 rows,
-- and a few in most fleets.
SELECT kind, key, reporter, state, reason, reported_at, expires_at
FROM public.target_health
WHERE expires_at > now() AND (kind <> 'lease' OR starts_with(key, 'probe '))
ORDER BY kind, key
LIMIT 1000;
