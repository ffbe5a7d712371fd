-- Since when and why scores are frozen, and who froze them last (null: the log does not know); no row when they are not.
SELECT
    frozen_at,
    coalesce(frozen_reason, '') AS reason,
    (SELECT who FROM public.operator_actions WHERE action = 'freeze' AND at >= frozen_at ORDER BY id DESC LIMIT 1) AS who
FROM public.learning_control
WHERE frozen_at IS NOT NULL;
