-- Revision 0007 takes every state of a rule that is not built in for one that the rule can compute again, also those of scores that
-- an operator set, and those that such a rule gave before a merge or a rollback. Reads two small tables whole.
WITH set_by_operators AS (
    UPDATE public.model_scores SET recomputable = false
    WHERE recomputable AND rule IN ('pin', 'rollback', 'retired', 'reinstated', 'renamed')
)
UPDATE public.rule_scores r SET recomputable = false
FROM public.model_scores s
WHERE r.recomputable
  AND r.rule NOT IN ('threshold', 'adaptive')
  AND (s.model_name, s.complexity_level) = (r.model_name, r.complexity_level)
  AND s.rule IN ('rollback', 'renamed')
  AND r.evaluated_at <= s.evaluated_at;
