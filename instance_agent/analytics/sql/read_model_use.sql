-- Sums of use by complexity and model, from roll-ups.
SELECT * FROM centralcloud.usage_by_complexity(%(since)s, %(until)s, %(workspace)s::text);
