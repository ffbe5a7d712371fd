-- Resets the rule for this pair: its score stays visible until the rule evaluates the pair again.
UPDATE rule_scores SET state = %(state)s
WHERE rule = %(rule)s AND model_name = %(model)s AND complexity_level = %(complexity)s;
