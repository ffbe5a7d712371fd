-- The rule starts again with this pair: what it thought of it stays to be seen, until it thinks something new.
UPDATE rule_scores SET state = %(state)s
WHERE rule = %(rule)s AND model_name = %(model)s AND complexity_level = %(complexity)s;
