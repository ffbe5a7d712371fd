-- Stores the plans of requests that have none yet: the first one wins, so that a resend changes nothing. Nothing while plans are
-- off. Served by primary keys. The keys are sorted, so that two consumers wait for each other and do not deadlock. The columns
-- are JSON arrays: in an array of text, the client would escape each quote of each plan.
INSERT INTO public.request_plans (request_id, plan)
SELECT request_id::uuid, plan::jsonb
FROM ROWS FROM (json_array_elements_text(%(request_ids)s), json_array_elements(%(plans)s)) AS new (request_id, plan)
WHERE NOT EXISTS (
    SELECT FROM public.fleet_settings WHERE name = 'retention.request_plans_days' AND value = '0'
)
ON CONFLICT (request_id) DO NOTHING;
