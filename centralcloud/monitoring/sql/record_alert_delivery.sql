-- Records how an attempt to deliver an alert has ended: without a problem, it was delivered.
UPDATE public.spend_alerts
SET delivered_at = CASE WHEN %(problem)s::text IS NULL THEN now() END, problem = left(%(problem)s::text, 500)
WHERE meter = %(meter)s AND period_start = %(period_start)s;
