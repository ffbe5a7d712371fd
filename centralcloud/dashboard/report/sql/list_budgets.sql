-- Budgets of money whose period touches a time, those that are used most first. Served by idx_spend_periods_end.
SELECT meter, period_start, period_end, limit_amount AS limit_nano_usd, spent AS spent_nano_usd, estimated AS estimated_nano_usd
FROM public.spend_periods
WHERE period_end > %(since)s AND period_start < %(until)s AND unit = 'nano_usd'
ORDER BY spent::double precision / nullif(limit_amount, 0) DESC NULLS FIRST, meter, period_start
LIMIT 100;
