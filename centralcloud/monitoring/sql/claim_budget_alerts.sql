-- Claims the alerts that are due for the webhook: another replica leaves them alone until the next attempt. Served by
-- idx_spend_alerts_undelivered.
WITH due AS (
    SELECT meter, period_start FROM public.spend_alerts
    WHERE delivered_at IS NULL AND next_attempt_at <= now() AND at > now() - make_interval(secs => %(give_up_seconds)s)
    ORDER BY next_attempt_at LIMIT 20
    FOR UPDATE SKIP LOCKED
)
UPDATE public.spend_alerts AS a
SET attempts = a.attempts + 1,
    next_attempt_at = now() + make_interval(
        secs => least(%(longest_seconds)s, %(first_seconds)s * power(2, least(a.attempts, 30)))
    )
FROM due
WHERE a.meter = due.meter AND a.period_start = due.period_start
RETURNING a.meter, substr(a.meter, length('budget/') + 1) AS budget, a.period_start, a.period_end, a.at, a.threshold,
    a.limit_amount, a.spent, a.attempts;
