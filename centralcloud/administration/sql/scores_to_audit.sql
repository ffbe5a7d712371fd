-- Every published score, with its history, and the newest score of every rule for every pair. One row each, without those of
-- retired models, whose evidence is excluded.
SELECT
    'model_scores' AS "table", s.rule, s.model_name AS model, s.complexity_level AS complexity, s.version, s.score,
    h.new_score AS in_history, s.after_slice, s.evaluated_through_slice AS through_slice, s.state
FROM model_scores s
LEFT JOIN model_score_history h USING (version)
WHERE NOT EXISTS (SELECT FROM retired_models t WHERE t.model_name = s.model_name)
UNION ALL
SELECT
    'rule_scores', r.rule, r.model_name, r.complexity_level, NULL, r.score, NULL, r.after_slice, r.through_slice,
    -- The state of a pair that was reset, or that migration 0003 found, does not say what its score came from.
    CASE WHEN r.state ? 'from' OR r.state ? 'parts' OR r.rule NOT IN ('threshold', 'adaptive') THEN r.state ELSE '{}' END
FROM rule_scores r
WHERE NOT EXISTS (SELECT FROM retired_models t WHERE t.model_name = r.model_name);
