-- The scores that changed within a day, from the value a day ago to the value now, those that changed most first. Served by
-- idx_model_score_history_pair.
SELECT model, complexity, score_before, score_now, round((score_now - score_before)::numeric, 6)::double precision AS moved
FROM (
    SELECT
        s.model_name AS model,
        s.complexity_level AS complexity,
        (
            SELECT old_score FROM public.model_score_history h
            WHERE h.model_name = s.model_name AND h.complexity_level = s.complexity_level
              AND h.created_at > now() - interval '1 day'
            ORDER BY h.version LIMIT 1
        )::double precision AS score_before,
        s.score::double precision AS score_now
    FROM public.model_scores s
    WHERE s.updated_at > now() - interval '1 day'
) AS moves
WHERE score_before <> score_now
ORDER BY abs(score_now - score_before) DESC, model, array_position(ARRAY['simple', 'medium', 'complex'], complexity::text);
