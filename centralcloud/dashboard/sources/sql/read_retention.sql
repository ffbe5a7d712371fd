-- For how many days records and plans are kept, where a fleet setting says so. Served by the primary key.
SELECT
    (SELECT (value #>> '{}')::integer FROM public.fleet_settings WHERE name = 'retention.records_days') AS records_days,
    (SELECT (value #>> '{}')::integer FROM public.fleet_settings WHERE name = 'retention.request_plans_days') AS plans_days;
