-- Requests, outcomes, times and costs in the scope of an experiment in the last day, up to the newest whole quarter-hour.
SELECT requests, successes, failures, mean_ms, mean_cost_usd
FROM centralcloud.scope_traffic(
    now() - interval '1 day', now(), %(complexities)s, %(task_types)s, %(policies)s, %(workspaces)s
);
