-- Everything known about the score of a pair, in one row; no row for an unknown pair. Served by primary keys.
SELECT
    m.model_name AS model,
    m.complexity_level AS complexity,
    m.last_reported_score,
    to_jsonb(s) - ARRAY[
        'model_name', 'complexity_level', 'state', 'evidence_from', 'earlier_boundaries', 'state_payload', 'excluded_instances', 'recomputable'
    ] AS published,
    (SELECT json_object_agg(r.rule, to_jsonb(r) - ARRAY[
        'model_name', 'complexity_level', 'rule', 'evidence_from', 'earlier_boundaries', 'state_payload', 'excluded_instances', 'recomputable'
     ])
     FROM public.rule_scores r WHERE r.model_name = m.model_name AND r.complexity_level = m.complexity_level) AS rules,
    (SELECT to_jsonb(p) - ARRAY['model_name', 'complexity_level']
     FROM public.score_pins p WHERE p.model_name = m.model_name AND p.complexity_level = m.complexity_level) AS pin,
    (SELECT to_jsonb(h) - ARRAY['model_name', 'complexity_level']
     FROM public.score_holds h WHERE h.model_name = m.model_name AND h.complexity_level = m.complexity_level) AS hold,
    (SELECT retired_at FROM public.retired_models t WHERE t.model_name = m.model_name) AS retired_at,
    (SELECT frozen_at FROM public.learning_control) AS frozen_at,
    (SELECT frozen_reason FROM public.learning_control) AS frozen_reason
FROM (
    SELECT
        model_name, complexity_level,
        (SELECT last_reported_score FROM public.model_routing_metrics t
         WHERE t.model_name = pair.model_name AND t.complexity_level = pair.complexity_level)
    FROM (VALUES (%(model)s::text, %(complexity)s::text)) AS pair (model_name, complexity_level)
    WHERE EXISTS (SELECT FROM public.model_routing_metrics t
                  WHERE t.model_name = pair.model_name AND t.complexity_level = pair.complexity_level)
       OR EXISTS (SELECT FROM public.model_scores t
                  WHERE t.model_name = pair.model_name AND t.complexity_level = pair.complexity_level)
) AS m
LEFT JOIN public.model_scores s USING (model_name, complexity_level);
