-- Where both models are pinned, the pin of the new name stays. Served by the primary key.
WITH gone AS (
    DELETE FROM score_pins WHERE model_name = %(old)s RETURNING *
)
INSERT INTO score_pins (model_name, complexity_level, score, expires_at, created_at)
SELECT %(new)s, complexity_level, score, expires_at, created_at FROM gone
ON CONFLICT DO NOTHING;
