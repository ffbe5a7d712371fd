-- The evidence behind these scores has grown after the fact: a rule goes on from its state, but the score it gave last does not
-- follow from that evidence any more.
UPDATE public.rule_scores SET recomputable = false
WHERE model_name = %(model)s AND complexity_level = ANY (%(complexities)s);
