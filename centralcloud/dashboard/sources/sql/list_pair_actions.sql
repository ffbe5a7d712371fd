-- Actions of operators on a pair, its model or all scores, newest first, among the newest 20,000 actions. Served by the primary
-- key, backwards; the log is short, because people write it.
SELECT id, at, who, action, subject, reason, version
FROM (SELECT * FROM public.operator_actions ORDER BY id DESC LIMIT 20000) AS newest
WHERE subject IN (%(pair)s, %(model)s, 'scores')
  AND action IN ('pin', 'unpin', 'rollback', 'freeze', 'unfreeze', 'retire_model', 'reinstate_model', 'rename_model')
ORDER BY id DESC
LIMIT 100;
