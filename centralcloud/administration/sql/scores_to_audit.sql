-- Every published score, with its history, and the last score that every rule gave each pair; one row each. Without those of
-- retired models, whose evidence is left out. computed_at: not later than the run that computed the score, which may have been
-- published later, for example after a pin.
SELECT
    'model_scores' AS "table", s.rule, s.model_name AS model, s.complexity_level AS complexity, s.version, s.score,
    h.new_score AS in_history, s.after_slice, s.evaluated_through_slice AS through_slice, s.evidence_from,
    s.earlier_boundaries, s.state_payload, s.excluded_instances AS excluded, s.recomputable,
    least(s.evaluated_at, slice.closed_at) AS computed_at,
    (
        SELECT jsonb_object_agg(t.task_type, t.score) FROM public.model_task_scores t
        WHERE t.model_name = s.model_name AND t.complexity_level = s.complexity_level AND t.pair_version = s.version
    ) AS task_scores
FROM public.model_scores s
LEFT JOIN public.model_score_history h USING (version)
LEFT JOIN public.evidence_slices slice ON slice.slice_no = s.evaluated_through_slice
WHERE NOT EXISTS (SELECT FROM public.retired_models t WHERE t.model_name = s.model_name)
UNION ALL
SELECT
    'rule_scores', r.rule, r.model_name, r.complexity_level, NULL, r.score, NULL, r.after_slice, r.through_slice,
    r.evidence_from, r.earlier_boundaries, r.state_payload, r.excluded_instances, r.recomputable,
    least(r.evaluated_at, slice.closed_at),
    (SELECT jsonb_object_agg(key, value -> 'score') FROM jsonb_each(r.task_types))
FROM public.rule_scores r
LEFT JOIN public.evidence_slices slice ON slice.slice_no = r.through_slice
WHERE NOT EXISTS (SELECT FROM public.retired_models t WHERE t.model_name = r.model_name);
