-- Requests and outcomes in the scope of an experiment in the last day, up to the newest whole quarter-hour.
SELECT requests, successes, failures
FROM centralcloud.scope_traffic(
    now() - interval '1 day', now(), %(complexities)s, %(task_types)s, %(policies)s, %(workspaces)s
);
