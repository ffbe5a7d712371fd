-- The evidence behind these scores has grown after the fact: a rule goes on from where it stands, and no longer says what its
-- newest score came from.
UPDATE rule_scores SET state = state - 'from' - 'parts'
WHERE model_name = %(model)s AND complexity_level = ANY (%(complexities)s);
