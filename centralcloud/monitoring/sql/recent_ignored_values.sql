-- Messages with ignored values by field, of the newest 24 hours, and the newest example of each. Served by the primary key; the
-- table has at most one row for each field of the contract and hour.
SELECT
    field, sum(messages)::bigint AS messages, (array_agg(example ORDER BY hour DESC))[1] AS example,
    (array_agg(instance_id ORDER BY hour DESC))[1] AS instance_id
FROM public.ignored_values
WHERE hour > now() - interval '24 hours'
GROUP BY field
ORDER BY field;
