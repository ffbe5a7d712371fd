-- The outcome of one evaluation: the watermark always moves, version and updated_at only when the score is new.
INSERT INTO model_scores AS s (
    model_name, complexity_level, score, version, reason, rule, run_id, confidence, based_on_samples,
    evaluated_through_slice, evaluated_at, updated_at
) VALUES (
    %(model)s, %(complexity)s, %(score)s, nextval('model_score_version'), %(reason)s, %(rule)s, %(run_id)s,
    %(confidence)s, %(samples)s, %(through_slice)s, %(now)s, %(now)s
)
ON CONFLICT (model_name, complexity_level) DO UPDATE SET
    version = CASE WHEN s.score = excluded.score THEN s.version ELSE excluded.version END,
    updated_at = CASE WHEN s.score = excluded.score THEN s.updated_at ELSE excluded.updated_at END,
    score = excluded.score,
    reason = excluded.reason,
    rule = excluded.rule,
    run_id = excluded.run_id,
    confidence = excluded.confidence,
    based_on_samples = excluded.based_on_samples,
    evaluated_through_slice = excluded.evaluated_through_slice,
    evaluated_at = excluded.evaluated_at
RETURNING version, updated_at = evaluated_at AS is_new;
