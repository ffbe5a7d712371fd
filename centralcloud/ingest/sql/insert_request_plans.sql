-- Stores the plans of requests that have none yet: the first one wins, so that a resend changes nothing. Nothing while plans are
-- off. Served by primary keys. The keys are sorted, so that two consumers wait for each other and do not deadlock.
INSERT INTO public.request_plans (request_id, plan)
SELECT request_id, plan
FROM unnest(%(request_ids)s::uuid[], %(plans)s::jsonb[]) AS new (request_id, plan)
WHERE NOT EXISTS (
    SELECT FROM public.fleet_settings WHERE name = 'retention.request_plans_days' AND value = '0'
)
ON CONFLICT (request_id) DO NOTHING;
