-- The budgets of the configuration, limits of workspaces included. A view over the entries of the configuration, by their
-- primary key, with the spend of each by that of spend_periods.
SELECT
    budget_id, budget_type AS scope, budget_period AS period, round(budget_amount * 1000000000)::bigint AS limit_nano_usd,
    period_start, period_end, alert_threshold::double precision AS threshold
FROM public.cost_budgets
ORDER BY budget_id
LIMIT 200;
