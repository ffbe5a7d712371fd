-- The score of each pair at a moment, then its changes up to another one, in the order of versions. `learned`: a rule published it.
-- Served by idx_model_score_history_pair and the BRIN index idx_model_score_history_created_at.
SELECT model, complexity, score, at, learned FROM (
    SELECT DISTINCT ON (model_name, complexity_level)
        model_name AS model, complexity_level AS complexity, new_score::float8 AS score, created_at AS at,
        run_id IS NOT NULL AS learned, version
    FROM public.model_score_history
    WHERE created_at < %(since)s
    ORDER BY model_name, complexity_level, version DESC
) AS at_first
UNION ALL
SELECT model, complexity, score, at, learned FROM (
    SELECT
        model_name AS model, complexity_level AS complexity, new_score::float8 AS score, created_at AS at,
        run_id IS NOT NULL AS learned, version
    FROM public.model_score_history
    WHERE created_at >= %(since)s AND created_at < %(until)s
    ORDER BY version
) AS later;
