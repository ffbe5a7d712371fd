-- The newest change of the fleet setting `rule` before a moment, and the rules before and after. Served by the primary key,
-- backwards: the log of operators' actions is small.
SELECT at, before ->> 'value' AS before, after ->> 'value' AS after
FROM public.operator_actions
WHERE action = 'change_setting' AND subject = 'rule' AND at < %(until)s AND before IS NOT NULL
ORDER BY id DESC
LIMIT 1;
