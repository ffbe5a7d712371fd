-- The limit of each meter and what is used of it now.
SELECT
    meter, unit, limit_amount, spent, estimated, leased, written_off, period_start, period_end, alerted_at
FROM centralcloud.current_spend(%(meters)s);
