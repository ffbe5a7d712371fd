-- The alerts of budgets whose period has not ended, with what is spent now. A few rows, by the primary keys.
SELECT substr(a.meter, length('budget/') + 1) AS budget, a.threshold, a.at, p.period_start, p.period_end,
    p.spent + p.written_off AS spent, p.limit_amount
FROM public.spend_alerts AS a
JOIN public.spend_periods AS p USING (meter, period_start)
WHERE a.period_end > now()
ORDER BY budget;
