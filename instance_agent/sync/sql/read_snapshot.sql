-- The published score of every pair.
SELECT
    model_name AS model, complexity_level AS complexity, score, version, updated_at, reason, mean, n_eff, probe_share
FROM centralcloud.current_scores();
