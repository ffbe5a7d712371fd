-- The tables of the specification as views: each fact is stored once. A decision of a gateway finds its outcome by
-- idx_routing_records_request_id, so that a condition on created_at reads only the records of that time.
CREATE VIEW model_selections AS
SELECT
    centralcloud.usage_key(ARRAY['model_selections', r.id::text]) AS id,
    r.task_id,
    r.policy AS policy_name,
    r.model AS selected_model,
    r.provider AS selected_provider,
    r.estimated_cost_usd::numeric AS estimated_cost,
    coalesce(
        round(coalesce(o.cost_nano_usd, r.cost_nano_usd)::numeric / 1000000000, 9), coalesce(o.cost_usd, r.cost_usd)::numeric
    ) AS actual_cost,
    coalesce(o.tokens, r.tokens) AS tokens_used,
    coalesce(o.response_time_ms, r.response_time_ms) AS response_time_ms,
    o.success,
    r.created_at
FROM (
    SELECT *, nullif(coalesce(input_tokens, 0)::bigint + coalesce(output_tokens, 0), 0) AS tokens
    FROM routing_records WHERE outcome = 'routed' AND request_id IS NOT NULL
) AS r
LEFT JOIN LATERAL (
    SELECT
        e.cost_nano_usd, e.cost_usd, e.response_time_ms, e.outcome = 'success' AS success,
        nullif(coalesce(e.input_tokens, 0)::bigint + coalesce(e.output_tokens, 0), 0) AS tokens
    FROM routing_records AS e
    WHERE e.request_id = r.request_id AND e.instance_id = r.instance_id AND e.decision_id = r.decision_id
        AND e.outcome <> 'routed'
    ORDER BY e.id LIMIT 1
) AS o ON true
UNION ALL
SELECT
    centralcloud.usage_key(ARRAY['model_selections', min(id)::text]), max(task_id), max(policy), min(model), min(provider),
    max(estimated_cost_usd)::numeric,
    coalesce(round(max(cost_nano_usd)::numeric / 1000000000, 9), max(cost_usd)::numeric),
    max(nullif(coalesce(input_tokens, 0)::bigint + coalesce(output_tokens, 0), 0)),
    max(response_time_ms),
    CASE WHEN bool_or(outcome = 'success') THEN true WHEN bool_or(outcome = 'failure') THEN false END,
    min(created_at)
FROM routing_records
WHERE request_id IS NULL
GROUP BY instance_id, decision_id, CASE WHEN decision_id IS NULL THEN id END;
COMMENT ON VIEW model_selections IS
    'one row a decision, with its outcome; costs in USD. Decisions without a request are grouped: a condition does not save reading them';

-- Budgets and the limits of workspaces, each in the period of now.
CREATE VIEW cost_budgets AS
SELECT
    centralcloud.usage_key(
        ARRAY['cost_budgets', budget.id, CASE WHEN budget.period <> 'task' THEN extract(epoch FROM period.period_start)::text END]
    ) AS id,
    budget.scope AS budget_type,
    budget.period AS budget_period,
    budget.amount AS budget_amount,
    round(coalesce(spend.spent, 0)::numeric / 1000000000, 9) AS spent_amount,
    CASE WHEN budget.period <> 'task' THEN period.period_start END AS period_start,
    CASE WHEN budget.period <> 'task' THEN period.period_end END AS period_end,
    budget.threshold AS alert_threshold,
    (SELECT version.at FROM configuration_versions AS version WHERE version.config_version = budget.config_version) AS created_at,
    budget.id AS budget_id
FROM (
    SELECT
        e.id, e.body ->> 'scope' AS scope, e.body ->> 'period' AS period, (e.body ->> 'limit')::numeric AS amount,
        coalesce((e.body ->> 'alertThreshold')::numeric, 0.8) AS threshold, coalesce(e.body ->> 'timezone', 'UTC') AS zone,
        e.config_version
    FROM configuration_entries AS e
    WHERE e.kind = 'budget' AND e.body IS NOT NULL AND coalesce((e.body ->> 'enabled')::boolean, true)
    UNION ALL
    SELECT
        'workspace:' || e.id || ':' || own.key, 'workspace', own.key, own.value::numeric,
        coalesce((e.body ->> 'alertThreshold')::numeric, 0.8), coalesce(e.body ->> 'timezone', 'UTC'), e.config_version
    FROM configuration_entries AS e
    CROSS JOIN LATERAL jsonb_each_text(e.body -> 'budgetLimits') AS own
    WHERE e.kind = 'workspace' AND e.body IS NOT NULL AND jsonb_typeof(e.body -> 'budgetLimits') = 'object'
        AND own.key IN ('daily', 'weekly', 'monthly', 'task') AND own.value IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM configuration_entries AS b
            WHERE b.kind = 'budget' AND b.id = 'workspace:' || e.id || ':' || own.key AND b.body IS NOT NULL
        )
) AS budget
CROSS JOIN LATERAL centralcloud.calendar_period(
    CASE WHEN budget.period IN ('daily', 'weekly', 'monthly') THEN budget.period ELSE 'daily' END, budget.zone, now()
) AS period
LEFT JOIN spend_periods AS spend ON spend.meter = 'budget/' || budget.id AND spend.period_start = period.period_start
WHERE budget.period IN ('daily', 'weekly', 'monthly', 'task');
COMMENT ON VIEW cost_budgets IS 'budgets of the configuration, limits of workspaces included, with what is spent in the period of now; in USD. A limit of each task has neither a period nor a sum';
