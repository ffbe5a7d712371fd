-- The budgets of exploration, each with what is spent of it in the period of now. A view over the entries of the configuration, by
-- their primary key, with the spend of each by that of spend_periods.
SELECT
    budget_id, budget_period AS period, budget_amount::float8 AS limit_usd, spent_amount::float8 AS spent_usd, period_start, period_end
FROM public.cost_budgets
WHERE budget_type = 'exploration'
ORDER BY budget_id
LIMIT 20;
