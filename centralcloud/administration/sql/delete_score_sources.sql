-- The evidence behind these scores has grown after the fact: the rule goes on from its score, and its state no longer says what
-- the score came from.
UPDATE rule_scores SET state = state - 'from' - 'parts'
WHERE model_name = %(model)s AND complexity_level = ANY (%(complexities)s);
