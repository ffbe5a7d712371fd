-- The periods of budgets and rate limits that are not over, the fullest first, each with its alert. Served by
-- idx_spend_periods_end, and the primary key of spend_alerts.
SELECT
    p.meter, p.period_start, p.period_end, p.unit, p.limit_amount, p.spent, p.estimated, p.leased, p.written_off,
    a.at AS alerted_at, a.threshold, a.delivered_at, a.problem
FROM public.spend_periods p
LEFT JOIN public.spend_alerts a ON a.meter = p.meter AND a.period_start = p.period_start
WHERE p.period_end > now() AND p.period_start <= now()
ORDER BY (p.spent + p.written_off + p.leased)::double precision / greatest(p.limit_amount, 1) DESC, p.meter
LIMIT 200;
