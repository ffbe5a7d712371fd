-- The server's clock, and the ledger as the newest row of fleet_minutes has it. Served by the primary key.
SELECT
    clock_timestamp() AS now,
    newest.read_at,
    newest.records_until AS records,
    newest.counted_until AS counted,
    newest.successes_until AS successes,
    newest.failures_until AS failures,
    newest.blameless_until AS blameless,
    newest.cost_nano_usd_until AS cost_nano_usd
FROM (SELECT) AS always
LEFT JOIN (SELECT * FROM public.fleet_minutes ORDER BY minute DESC LIMIT 1) AS newest ON true;
