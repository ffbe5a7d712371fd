-- Attempts after a failed one, from roll-ups.
SELECT * FROM centralcloud.usage_escalations(%(since)s, %(until)s, %(workspace)s::text, %(model)s::text);
